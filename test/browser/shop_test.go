// Package browser tries the middleware of package httpmw with clients that are not
// ours and not in this process: curl, and Chromium with a page of another origin; and
// it uses the demo's dashboard in Chromium, as somebody does who tries Shoal. It is a
// module of its own, so that the driver of the browser doesn't reach a user's go.mod.
//
// Each client of the middleware asks an API over real sockets on loopback, is refused once, and must
// come back by itself when Retry-After says so, and then be served. The API keeps a
// record of what it got and when; what is checked is that nobody came early, never
// how late.
//
// A test whose program isn't installed is skipped. With SHOAL_BROWSER=required it
// fails instead: that is what .ci/browser asks for, after it has installed them.
package browser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

const (
	limitName = `"1 per 2 second"`
	policy    = limitName + ";q=1;w=2"
)

// program finds the first of these that is installed.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	why := "needs one of these: " + strings.Join(names, ", ")
	if os.Getenv("SHOAL_BROWSER") == "required" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// visit is a request as the API saw it.
type visit struct {
	request  string // method and path
	status   int
	limit    string // RateLimit
	retry    string // Retry-After
	came     time.Time
	answered time.Time // before the client could have a byte of it
}

// api serves everybody once in two seconds, and other origins, too.
type api struct {
	url   string
	rule  *bucket.Rule
	node  *cluster.Node
	spent sync.Once

	mu   sync.Mutex
	seen []visit // in the order of their answers
}

func newAPI(t *testing.T, answers httpmw.Answers) *api {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{rule: bucket.MustRule("api", "1 per 2 seconds"), node: node}
	limit, err := httpmw.New(node, a.rule, everybody, httpmw.Answer(answers))
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("OPTIONS /", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	routes.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) })
	server := httptest.NewServer(a.record(cors(a.rush(limit(routes)))))
	a.url = server.URL
	t.Cleanup(func() {
		server.Close()
		if err := node.Close(t.Context()); err != nil {
			t.Log(err)
		}
	})
	return a
}

func everybody(*http.Request) (string, error) { return "everybody", nil }

// cors lets scripts of every origin ask, and has browsers send a preflight each time.
// Which fields a script may read it leaves to the middleware.
func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Headers", "X-Basket")
			h.Set("Access-Control-Max-Age", "0")
		}
		next.ServeHTTP(w, r)
	})
}

// rush has others use up the limit right before the first GET of /rush, so that it
// is refused however slow the client is.
func (a *api) rush(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/rush" {
			a.spent.Do(func() {
				for {
					if d, err := a.node.Take(r.Context(), a.rule, "everybody", 1); err != nil || !d.Allowed {
						return
					}
				}
			})
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&recorder{w, a, visit{request: r.Method + " " + r.URL.Path, came: time.Now()}}, r)
	})
}

// recorder notes the visit when its response begins.
type recorder struct {
	http.ResponseWriter
	a *api
	v visit
}

func (w *recorder) WriteHeader(status int) {
	h := w.Header()
	w.v.status, w.v.limit, w.v.retry, w.v.answered = status, h.Get("RateLimit"), h.Get("Retry-After"), time.Now()
	w.a.mu.Lock()
	w.a.seen = append(w.a.seen, w.v)
	w.a.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.v.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

func (a *api) visits() []visit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

// due is the earliest time at which a client that honours the Retry-After of v is
// back.
func (v visit) due(t *testing.T) time.Time {
	t.Helper()
	if s, err := strconv.Atoi(v.retry); err == nil && s > 0 {
		return v.answered.Add(time.Duration(s) * time.Second)
	}
	date, err := http.ParseTime(v.retry)
	if err != nil {
		t.Errorf("%s: Retry-After is %q", v.request, v.retry)
	}
	return date
}
