package httpmw_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// failed is true for failed logins.
func failed(status int, _ http.Header) bool { return status == http.StatusUnauthorized }

// login answers 401 to whoever doesn't know the password.
var login = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Password") != "right" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fmt.Fprintln(w, "welcome")
})

func TestChargeIf(t *testing.T) {
	for _, text := range []string{"2/minute", "2/minute leaky", "2/minute fixed", "2/minute sliding", "2/minute log"} {
		synctest.Test(t, func(t *testing.T) {
			rule := bucket.MustRule("rule", text)
			m := newMemory()
			h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(failed))(login)
			for i, x := range []struct {
				password string
				status   int
				left     string
			}{
				{"right", 200, "r=2;t=0"}, {"right", 200, "r=2;t=0"}, {"right", 200, "r=2;t=0"},
				{"wrong", 401, "r=1;t="}, {"right", 200, "r=1;t="}, {"wrong", 401, "r=0;t="}, {"right", 429, "r=0;t="},
			} {
				w := send(h, "POST", "/", "Password", x.password)
				if w.Code != x.status || !strings.Contains(w.Header().Get("RateLimit"), x.left) {
					t.Errorf("%s: request %d, %s: got %d %v", text, i, x.password, w.Code, w.Header())
				}
			}
			m.now.Add(int64(2 * time.Minute))
			if w := send(h, "POST", "/", "Password", "right"); w.Code != 200 {
				t.Errorf("%s: two minutes later: %d", text, w.Code)
			}
		})
	}
}

// What is said of a request that got its tokens back is what the next is told.
func TestCreditedIsWhatIsLeft(t *testing.T) {
	synctest.Test(t, testCredited) // requests wait in the queue of a leaky bucket
}

func testCredited(t *testing.T) {
	for _, text := range []string{"10/minute", "10/minute leaky", "10/minute fixed", "10/minute sliding", "10/minute log", "10/minute; 20/hour", "3 per 7 seconds burst 20"} {
		for used := range int64(4) {
			rule := bucket.MustRule("rule", text)
			m := newMemory()
			m.store.Take(rule, "everybody", used, 0)
			ask := mustLimit(t, m, rule, everybody, httpmw.Cost(0))(silent())
			free := mustLimit(t, m, rule, everybody, httpmw.Cost(3), httpmw.ChargeIf(failed))(silent())
			before := call(ask, "GET", "/").Header()
			given := call(free, "GET", "/").Header()
			after := call(ask, "GET", "/").Header()
			b, g, a := before.Get("RateLimit"), given.Get("RateLimit"), after.Get("RateLimit")
			if b != a {
				t.Errorf("%s, %d used: before %s, after %s", text, used, b, a)
			}
			if strings.Contains(text, "sliding") { // only its holder can tell when fewer tokens would be whole
				a, g = withoutReset(a), withoutReset(g)
			}
			if g != a {
				t.Errorf("%s, %d used: then %s, after %s", text, used, g, a)
			}
		}
	}
}

// withoutReset is a RateLimit without its time.
func withoutReset(s string) string {
	s, _, _ = strings.Cut(s, ";t=")
	return s
}

// However many come at once, no more than the limit get to guess.
func TestChargeIfAtOnce(t *testing.T) {
	rule := bucket.MustRule("rule", "5/minute")
	m := newMemory()
	var guesses atomic.Int64
	h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(failed))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guesses.Add(1)
		login(w, r)
	}))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { send(h, "POST", "/", "Password", "wrong") })
	}
	all.Wait()
	if n := guesses.Load(); n != 5 || m.left(rule, "everybody") != 0 {
		t.Errorf("%d guesses, and %d left", n, m.left(rule, "everybody"))
	}
}

// The response decides at its header, whatever way that is sent.
func TestChargeIfSeesTheFinalStatus(t *testing.T) {
	for name, x := range map[string]struct {
		handler http.HandlerFunc
		status  int // that the predicate sees
	}{
		"nothing":     {func(http.ResponseWriter, *http.Request) {}, 200},
		"a body":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }, 200},
		"a header":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404},
		"two headers": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, 201},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(204) }, 204},
		"a flush":     {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }, 200},
		"a controlled flush": {func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}, 200},
		"a copy": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("x")})
		}, 200},
		"a panic": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 500},
		"a panic after the header": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			panic(http.ErrAbortHandler)
		}, 202},
	} {
		for _, charged := range []bool{true, false} {
			rule := bucket.MustRule("rule", "5/minute")
			m := newMemory()
			asked := 0
			h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(func(status int, _ http.Header) bool {
				if asked++; status != x.status {
					t.Errorf("%s: status %d", name, status)
				}
				return charged
			}))(x.handler)
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if got := recover(); (got != nil) != strings.Contains(name, "panic") {
						t.Errorf("%s: panics with %v", name, got)
					}
				}()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			}()
			left := int64(5)
			if charged {
				left = 4
			}
			if asked != 1 || m.left(rule, "everybody") != left || !strings.Contains(w.Header().Get("RateLimit"), fmt.Sprintf("r=%d", left)) {
				t.Errorf("%s, charged %t: asked %d times, %d left, %v", name, charged, asked, m.left(rule, "everybody"), w.Header())
			}
		}
	}
}

// A client that has a response has its token back: also where it is streamed.
func TestChargeIfOverTheWire(t *testing.T) {
	rule := bucket.MustRule("rule", "1/hour")
	m := newMemory()
	hang := make(chan bool)
	h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(func(_ int, h http.Header) bool { return h.Get("X-Charge") != "" }))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := errors.Join(c.SetWriteDeadline(time.Time{}), c.Flush()); err != nil {
				t.Error(err)
			}
			<-hang
		}))
	server := httptest.NewServer(h)
	defer server.Close()
	defer close(hang)
	for range 3 {
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != 200 || response.Header.Get("RateLimit") != `"1 per 1 hour";r=1;t=0` {
			t.Errorf("got %d %v", response.StatusCode, response.Header)
		}
	}
}

func TestHijack(t *testing.T) {
	rule := bucket.MustRule("rule", "5/hour")
	m := newMemory()
	var seen atomic.Int64
	h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(func(status int, _ http.Header) bool {
		seen.Store(int64(status))
		return false
	}))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		if err := rw.Flush(); err != nil {
			t.Error(err)
		}
	}))
	server := httptest.NewServer(h)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "101") || seen.Load() != 101 || m.left(rule, "everybody") != 5 {
		t.Errorf("got %q, %v; status %d, %d left", line, err, seen.Load(), m.left(rule, "everybody"))
	}
}

// Where a connection can't be taken over, the handler hears of it.
func TestNoHijack(t *testing.T) {
	h := mustLimit(t, newMemory(), bucket.MustRule("rule", "5/hour"), everybody, httpmw.ChargeIf(failed))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("got %v", err)
			}
			w.WriteHeader(http.StatusNotImplemented)
		}))
	if w := call(h, "GET", "/"); w.Code != http.StatusNotImplemented {
		t.Errorf("got %d", w.Code)
	}
}

// A refund that is lost stays charged, and so it is told.
func TestLostRefund(t *testing.T) {
	rule := bucket.MustRule("rule", "5/minute")
	m := newMemory()
	m.lost = errDown
	h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(failed))(silent())
	if w := call(h, "GET", "/"); w.Code != 200 || w.Header().Get("RateLimit") != `"5 per 1 minute";r=4;t=12` {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

// A rule that charges nothing at the moment has nothing to give back.
func TestChargeIfByMode(t *testing.T) {
	rule := bucket.MustRule("rule", "1/minute")
	m := newMemory()
	h := mustLimit(t, m, rule, everybody, httpmw.ChargeIf(failed))(silent())
	for _, mode := range []bucket.Mode{bucket.Off, bucket.Shadow, bucket.Enforce} {
		if err := rule.SetMode(mode); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w := call(h, "GET", "/")
			if w.Code != 200 || (w.Header().Get("RateLimit") == "") != (mode == bucket.Off) || m.left(rule, "everybody") != 1 {
				t.Errorf("%v: got %d %v, %d left", mode, w.Code, w.Header(), m.left(rule, "everybody"))
			}
		}
	}
	if err := rule.SetMode(bucket.Shadow); err != nil {
		t.Fatal(err)
	}
	m.store.Take(rule, "everybody", 1, 0)
	if w := call(h, "GET", "/"); w.Code != 200 || w.Header().Get("RateLimit") != `"1 per 1 minute";r=0;t=60` {
		t.Errorf("would be refused: %d %v", w.Code, w.Header())
	}
}
