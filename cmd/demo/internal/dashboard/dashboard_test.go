package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// fleet is replicas that know nothing of each other, and notes what is done to them.
type fleet struct {
	mu       sync.Mutex
	replicas []Replica
	done     []string
}

func newFleet(t *testing.T, n int) *fleet {
	f := &fleet{}
	for i := range n {
		node, err := cluster.Start(t.Context(), cluster.Config{Name: fmt.Sprintf("replica-%d", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = node.Close(context.Background()) })
		f.replicas = append(f.replicas, Replica{Node: node, Number: i + 1, Killed: func() bool { return false }})
	}
	return f
}

func (f *fleet) note(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, what)
	if strings.HasSuffix(what, "nobody") {
		return errors.New("no replica is called nobody")
	}
	return nil
}

func (f *fleet) Replicas() []Replica                   { return f.replicas }
func (f *fleet) Add(context.Context) (string, error)   { return "replica-9", f.note("add") }
func (f *fleet) Stop(name string) error                { return f.note("stop " + name) }
func (f *fleet) Kill(name string) error                { return f.note("kill " + name) }
func (f *fleet) Split() (sides [2][]string, err error) { return sides, f.note("split") }
func (f *fleet) Heal()                                 { _ = f.note("heal") }

// post gives a command and returns the status and what was said.
func post(h http.Handler, path, body string, change func(*http.Request)) (int, string) {
	r := httptest.NewRequest("POST", "http://127.0.0.1:8080"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		d := New(f)
		defer d.Close()
		for _, tt := range []struct {
			path, body string
			status     int
			want       string
		}{
			{"/api/add", "", 200, "replica-9 starts"},
			{"/api/stop", `{"name":"replica-1"}`, 200, "replica-1 leaves"},
			{"/api/kill", `{"name":"replica-1"}`, 200, "replica-1 is killed"},
			{"/api/kill", `{"name":"nobody"}`, 400, "no replica is called nobody"},
			{"/api/stop", `{"name":7}`, 400, "can't be read"},
			{"/api/kill", `{"nom":"replica-1"}`, 400, "can't be read"},
			{"/api/split", "", 200, "split: "},
			{"/api/heal", "", 200, "heals"},
			{"/api/end", "", 400, "no load is being sent"},
			{"/api/load", "", 400, "can't be read"},
			{"/api/load", `{"rate":1,"keys":1,"seconds":1,"limit":"x"}`, 400, "limit: "},
			{"/api/load", strings.Repeat(" ", maxCommand+1), 413, "up to 4096 bytes"},
			{"/api/nothing", "", 405, ""}, // as the page is there
		} {
			if status, said := post(d, tt.path, tt.body, nil); status != tt.status || !strings.Contains(said, tt.want) {
				t.Errorf("%s %s: %d %s; want %d %q", tt.path, tt.body, status, said, tt.status, tt.want)
			}
		}
		if got := strings.Join(f.done, ", "); got != "add, stop replica-1, kill replica-1, kill nobody, split, heal" {
			t.Error(got)
		}
		d.Close()
		if status, said := post(d, "/api/add", "", nil); status != 503 || !strings.Contains(said, "about to end") {
			t.Errorf("after the end: %d %s", status, said)
		}
	})
}

// No page of another site can press the buttons, nor can another host.
func TestStrangersCommandNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		d := New(f)
		defer d.Close()
		for name, change := range map[string]func(*http.Request){
			"another origin":          func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
			"another site":            func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"a form":                  func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") },
			"no type":                 func(r *http.Request) { r.Header.Del("Content-Type") },
			"another host":            func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1234" },
			"a name that was rebound": func(r *http.Request) { r.Host = "evil.example:8080" },
			"GET":                     func(r *http.Request) { r.Method = "GET" },
		} {
			if status, said := post(d, "/api/add", "", change); status < 400 {
				t.Errorf("%s: %d %s", name, status, said)
			}
		}
		for name, change := range map[string]func(*http.Request){
			"the page itself": func(r *http.Request) {
				r.Header.Set("Origin", "http://127.0.0.1:8080")
				r.Header.Set("Sec-Fetch-Site", "same-origin")
			},
			"by localhost":     func(r *http.Request) { r.Host = "localhost:8080" },
			"by IPv6":          func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:8080", "[::1]:50000" },
			"without the port": func(r *http.Request) { r.Host = "127.0.0.1" },
		} {
			if status, said := post(d, "/api/add", "", change); status != 200 {
				t.Errorf("%s: %d %s", name, status, said)
			}
		}
		if len(f.done) != 4 {
			t.Errorf("carried out: %q", f.done)
		}
	})
}

func TestThePageIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(newFleet(t, 1))
		defer d.Close()
		for path, want := range map[string]string{"/": "text/html", "/app.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
			w := httptest.NewRecorder()
			d.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
			if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), want) || w.Header().Get("Content-Security-Policy") != policy {
				t.Errorf("%s: %d %v", path, w.Code, w.Header())
			}
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/", nil)
		r.URL.Path = ""
		if d.ServeHTTP(w, r); w.Code != 301 || w.Header().Get("Location") != "/_shoal/" {
			t.Errorf("without a slash: %d to %q", w.Code, w.Header().Get("Location"))
		}
	})
}

// A load meets all replicas, and what they admit is checked. These know nothing of each
// other, so all of them together admit more than the limit; the checker must say so.
func TestALoadIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(newFleet(t, 2))
		defer d.Close()
		if status, said := post(d, "/api/load", `{"rate":200,"keys":1,"seconds":5,"limit":"10/second burst 5"}`, nil); status != 200 {
			t.Fatal(said)
		}
		time.Sleep(6 * time.Second)
		latest, _ := d.hub.get()
		var s snapshot
		if err := json.Unmarshal(latest[tickFrame].data, &s); err != nil {
			t.Fatal(err)
		}
		l := s.Load
		if l.Running || l.Sent != 1000 || l.Admitted != 2*(5+49) && l.Admitted != 2*(5+50) || l.Over < l.Admitted/2-1 || l.Over > l.Admitted/2+1 || l.Bound != 0 || l.Line != 10 {
			t.Errorf("%+v", l)
		}
		if len(s.Replicas) != 2 || s.Replicas[0].State != "ready" || s.Replicas[0].Held != 4096 || s.Replicas[0].Admitted+s.Replicas[0].Refused != 500 {
			t.Errorf("%+v", s.Replicas)
		}
		if len(s.Denied) != 1 || s.Denied[0].Key != "user-1" || int64(s.Denied[0].N) != l.Refused || s.Paths.Local != 1000 {
			t.Errorf("%+v, %+v", s.Denied, s.Paths)
		}
		post(d, "/api/load", `{"rate":200,"keys":1,"seconds":500,"limit":"10/second"}`, nil)
		time.Sleep(time.Second)
		if status, said := post(d, "/api/end", "", nil); status != 200 {
			t.Error(said)
		}
		synctest.Wait()
		if v := d.drive.Load(); v.number != 2 || v.running() {
			t.Errorf("load %d, still running: %v", v.number, v.running())
		}
	})
}

// slow is a browser that takes as long as it likes for each write.
type slow struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(s.pause)
	return s.ResponseRecorder.Write(b)
}

func (slow) SetWriteDeadline(time.Time) error { return nil }

// Each browser gets what it can take; one that is slow misses snapshots, and never any of
// the diary's lines.
func TestASlowBrowserHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(newFleet(t, 1))
		got := map[time.Duration]map[string]int{}
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, pause := range []time.Duration{0, time.Second} {
			wg.Go(func() {
				w := slow{httptest.NewRecorder(), pause}
				d.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/stream", nil))
				counts := map[string]int{}
				for lines := bufio.NewScanner(w.Body); lines.Scan(); {
					if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
						counts[name]++
					}
					counts["lines"] += strings.Count(lines.Text(), `"kind":`)
				}
				mu.Lock()
				got[pause] = counts
				mu.Unlock()
			})
		}
		for i := range 20 {
			time.Sleep(time.Second)
			d.say("load", "line %d", i)
		}
		time.Sleep(5 * time.Second)
		d.Close()
		wg.Wait()
		fast, late := got[0], got[time.Second]
		if fast["history"] != 1 || fast["tick"] < 120 || fast["wheel"] != 1 || fast["lines"] != 20 {
			t.Errorf("the fast one: %v", fast)
		}
		if late["tick"] < 5 || late["tick"] > 25 || late["lines"] != 20 {
			t.Errorf("the slow one: %v", late)
		}
	})
}

func TestTooManyBrowsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(newFleet(t, 1))
		var wg sync.WaitGroup
		for range maxStreams {
			wg.Go(func() {
				d.ServeHTTP(slow{httptest.NewRecorder(), 0}, httptest.NewRequest("GET", "http://localhost/api/stream", nil))
			})
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/stream", nil))
		if w.Code != 503 || !strings.Contains(w.Body.String(), "64 browsers") {
			t.Errorf("%d %s", w.Code, w.Body.String())
		}
		d.Close()
		wg.Wait()
	})
}
