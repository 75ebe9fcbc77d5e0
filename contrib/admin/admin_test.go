package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/admin"
)

// desk is a node with its admin handler, mounted as the package says.
type desk struct {
	*testing.T
	node    *cluster.Node
	rules   []*bucket.Rule
	handler http.Handler
}

func newDesk(t *testing.T) *desk {
	node, err := cluster.Start(t.Context(), cluster.Config{Name: "a", DeniedKeys: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	d := &desk{T: t, node: node, rules: []*bucket.Rule{
		bucket.MustRule("login", "2/hour; 100/day"), bucket.MustRule("slots", "2 concurrent"),
	}}
	h, err := admin.New(node, admin.Options{
		Rules:     func() []*bucket.Rule { return d.rules },
		Authorize: func(r *http.Request) bool { return r.Header.Get("Authorization") == "operator" },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/shoal/", http.StripPrefix("/shoal", h))
	d.handler = mux
	return d
}

func (d *desk) ask(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	d.Helper()
	r := httptest.NewRequest(method, "https://api.example.org/shoal"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "operator")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

func (d *desk) take(key string) bucket.Decision {
	d.Helper()
	decision, err := d.node.Take(d.Context(), d.rules[0], key, 1)
	if err != nil {
		d.Error(err)
	}
	return decision
}

var routes = map[string]string{
	"/": http.MethodGet, "/status": http.MethodGet, "/table": http.MethodGet, "/rules": http.MethodGet, "/denied": http.MethodGet,
	"/mode": http.MethodPost, "/peek": http.MethodPost, "/reset": http.MethodPost,
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// Without the operator's word nothing is shown and nothing is done, by any method; with
// it, what changes something is a POST of this very origin, or of no browser (S15).
func TestRoutesAreClosed(t *testing.T) {
	d := newDesk(t)
	for range 3 {
		d.take("alice")
	}
	off := form("rule", "login", "mode", "off", "key", "alice")
	for path, right := range routes {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			if w := d.ask(method, path, off, "Authorization", ""); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "alice") {
				t.Errorf("a stranger's %s %s: %d %s", method, path, w.Code, w.Body)
			}
			if method == right || method == http.MethodHead && right == http.MethodGet {
				continue
			}
			if w := d.ask(method, path, off); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.org"}, {"Origin", "null"}} {
			if w := d.ask(http.MethodPost, path, off, header...); w.Code != http.StatusForbidden && w.Code != http.StatusMethodNotAllowed {
				t.Errorf("POST %s with %v: %d", path, header, w.Code)
			}
		}
	}
	if d.rules[0].Mode() != bucket.Enforce || d.take("alice").Allowed {
		t.Error("somebody changed something")
	}
	for _, path := range []string{"/other", "/mode/", "/debug/pprof/"} {
		if w := d.ask(http.MethodGet, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// An operator sees everything, with headers that keep it to him.
func TestWhatIsShown(t *testing.T) {
	d := newDesk(t)
	for range 5 {
		d.take("<alice>")
	}
	for path, want := range map[string]string{
		"/":       "&lt;alice&gt;",
		"/status": `"Rule":"login","Path":"local","Outcome":"refused","Count":3`,
		"/table":  `{"Owner":"a","Standby":"","Holder":"a","State":"held"}`,
		"/rules":  `{"Name":"login","Limits":["2 per 1 hour","100 per 1 day"],"Mode":"enforce","Policy":"local share"}`,
		"/denied": `[{"Rule":"login","Key":"\u003calice\u003e","Refusals":3,"Error":0}]`,
	} {
		w := d.ask(http.MethodGet, path, nil)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v, want %s in\n%s", path, w.Code, w.Header(), want, w.Body)
		}
	}
}

// Each action does what it says, for a program and for a browser, and names what is
// wrong.
func TestActions(t *testing.T) {
	d := newDesk(t)
	for range 3 {
		d.take("alice")
	}
	for _, step := range []struct {
		path   string
		form   url.Values
		status int
		want   string
	}{
		{"/peek", form("rule", "login", "key", "alice"), 200, `"Allowed":false`},
		{"/peek", form("rule", "login", "key", "bob", "tokens", "2"), 200, `"Allowed":true`},
		{"/peek", form("rule", "login", "key", "bob", "tokens", "3"), 200, `"RetryAfter":"never"`},
		{"/peek", form("rule", "login", "key", "bob", "tokens", "x"), 400, `is no whole number`},
		{"/peek", form("rule", "login", "key", "bob", "tokens", "-1"), 400, `at least 0`},
		{"/peek", form("rule", "slots", "key", "bob"), 400, `concurrency`},
		{"/reset", form("rule", "slots", "key", "bob"), 400, `concurrency`},
		{"/reset", form("rule", "none", "key", "alice"), 404, `there is no rule \"none\"`},
		{"/mode", form("rule", "login", "mode", "maybe"), 400, `unknown mode`},
		{"/mode", form("key", strings.Repeat("x", 100_000)), 400, `can't be read`},
		{"/reset", form("rule", "login", "key", "alice"), 200, `one key reset`},
		{"/peek", form("rule", "login", "key", "alice", "tokens", "2"), 200, `"Allowed":true`},
		{"/mode", form("rule", "login", "mode", "shadow"), 200, `login: shadow`},
	} {
		w := d.ask(http.MethodPost, step.path, step.form)
		if w.Code != step.status || !strings.Contains(w.Body.String(), step.want) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %.60q: %d %s; want %d, %s", step.path, step.form.Encode(), w.Code, w.Body, step.status, step.want)
		}
	}
	if d.rules[0].Mode() != bucket.Shadow {
		t.Error("the mode has not changed")
	}
	w := d.ask(http.MethodPost, "/mode", form("rule", "login", "mode", "enforce"), "Accept", "text/html", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "login: enforce") || d.rules[0].Mode() != bucket.Enforce {
		t.Errorf("a browser: %d %s", w.Code, w.Body)
	}
	w = d.ask(http.MethodPost, "/peek", form("rule", "login", "key", "alice"), "Accept", "text/html")
	if !strings.Contains(w.Body.String(), "allowed; 1 left of") && !strings.Contains(w.Body.String(), "allowed; 2 left of") {
		t.Errorf("a browser: %s", w.Body)
	}
}

// Under load a switch holds for every decision that begins after it was answered (S14):
// far below the 100 ms that are promised.
func TestASwitchTakesEffectAtOnce(t *testing.T) {
	d := newDesk(t)
	d.rules[0] = bucket.MustRule("login", "0/hour")
	rule := d.rules[0]
	var began, passed atomic.Int64 // began: 1 when everything must pass
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for passed.Load() < 1000 && !t.Failed() {
				must := began.Load() == 1
				decision, err := d.node.Take(context.Background(), rule, "alice", 1)
				if must {
					if err != nil || !decision.Allowed {
						t.Errorf("%+v, %v", decision, err)
						return
					}
					passed.Add(1)
				}
			}
		})
	}
	start := time.Now()
	w := d.ask(http.MethodPost, "/mode", form("rule", "login", "mode", "off"))
	began.Store(1)
	t.Logf("switched in %v", time.Since(start))
	if w.Code != http.StatusOK {
		t.Error(w.Code, w.Body)
	}
	wg.Wait()
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := admin.New(nil, admin.Options{})
	if err == nil || !strings.Contains(err.Error(), "no node") || !strings.Contains(err.Error(), "Options.Authorize") {
		t.Error(err)
	}
	d := newDesk(t)
	h, err := admin.New(d.node, admin.Options{Authorize: func(*http.Request) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/rules", nil))
	if w.Body.String() != "[]\n" {
		t.Errorf("without rules: %s", w.Body)
	}
}
