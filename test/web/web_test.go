// Package web tries the middleware of package httpmw among other people's routers
// and clients. It is a module of its own, so that none of them reaches a user's
// go.mod.
//
// The routers are chi, gorilla/mux, gin and echo. The first two take the middleware
// as it is; for echo there is a line of glue that it brings, and for gin a few that
// are here to be copied. Each router is held to the same table of requests: a limit of
// the whole application, one of a group, one of a route, one that counts
// only failures, and none.
//
// The client is HashiCorp's retryablehttp, which must come back when Retry-After says
// so, and then be served. Its time is simulated, and the network is a function call. A
// reader of structured fields, dunglas/httpsfv, is given the headers.
package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// local decides in this process, by its own clock.
type local struct {
	store *bucket.Store
	start time.Time
}

func newLocal() local {
	return local{store: bucket.NewStore(bucket.StoreConfig{}), start: time.Now()}
}

func (l local) now() int64 { return int64(time.Since(l.start)) }

func (l local) Take(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return l.store.Take(rule, key, tokens, l.now()), nil
}

func (l local) Refund(_ context.Context, rule *bucket.Rule, key string, r bucket.Receipt) error {
	l.store.Refund(rule, key, r, l.now())
	return nil
}

// limits are the middlewares that every router is given.
type limits struct {
	app   func(http.Handler) http.Handler // around everything
	group func(http.Handler) http.Handler // around /api/
	route func(http.Handler) http.Handler // around /api/export, each method by itself
	login func(http.Handler) http.Handler // around /login: failures
}

func newLimits(t *testing.T, route httpmw.KeyFunc) limits {
	t.Helper()
	l := newLocal()
	limit := func(rule string, key httpmw.KeyFunc, opts ...httpmw.Option) func(http.Handler) http.Handler {
		m, err := httpmw.New(l, bucket.MustRule(rule, rule), key, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return limits{
		app:   limit("12/hour", httpmw.ClientIP()),
		group: limit("4/hour", httpmw.ClientIP()),
		route: limit("1/hour", route),
		login: limit("2/hour", httpmw.ClientIP(), httpmw.ChargeIf(func(status int, _ http.Header) bool { return status == http.StatusUnauthorized })),
	}
}

// story is what a client asks for, in this order, and how it is answered.
var story = []struct {
	request string
	status  int
	limit   string // RateLimit
}{
	{"GET /free", 200, `"12 per 1 hour";r=11;t=300`},
	{"GET /api/items/1", 200, `"4 per 1 hour";r=3;t=900, "12 per 1 hour";r=10;t=300`},
	{"GET /api/export", 200, `"1 per 1 hour";r=0;t=3600, "4 per 1 hour";r=2;t=900, "12 per 1 hour";r=9;t=300`},
	{"GET /api/export", 429, `"1 per 1 hour";r=0;t=3600, "4 per 1 hour";r=1;t=900, "12 per 1 hour";r=8;t=300`},
	{"POST /api/export", 200, `"4 per 1 hour";r=0;t=900, "1 per 1 hour";r=0;t=3600, "12 per 1 hour";r=7;t=300`},
	{"GET /api/items/2", 429, `"4 per 1 hour";r=0;t=900, "12 per 1 hour";r=6;t=300`},
	{"POST /login?right", 200, `"2 per 1 hour";r=2;t=0, "12 per 1 hour";r=5;t=300`},
	{"POST /login?wrong", 401, `"2 per 1 hour";r=1;t=1800, "12 per 1 hour";r=4;t=300`},
	{"POST /login?right", 200, `"2 per 1 hour";r=1;t=1800, "12 per 1 hour";r=3;t=300`},
	{"POST /login?wrong", 401, `"2 per 1 hour";r=0;t=1800, "12 per 1 hour";r=2;t=300`},
	{"POST /login?right", 429, `"2 per 1 hour";r=0;t=1800, "12 per 1 hour";r=1;t=300`},
	{"GET /free", 200, `"12 per 1 hour";r=0;t=300`},
	{"GET /free", 429, `"12 per 1 hour";r=0;t=300`},
}

// follow tells the story to a router. Time stands still in a bubble.
func follow(t *testing.T, h http.Handler) {
	t.Helper()
	for i, x := range story {
		var method, target string
		for n, c := range x.request {
			if c == ' ' {
				method, target = x.request[:n], x.request[n+1:]
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if w.Code != x.status || w.Header().Get("RateLimit") != x.limit {
			t.Errorf("request %d, %s: got %d %s\nwant %d %s", i, x.request, w.Code, w.Header().Get("RateLimit"), x.status, x.limit)
		}
		if body := w.Body.String(); x.status == 200 && body != "served" {
			t.Errorf("request %d, %s: body %q", i, x.request, body)
		}
	}
}

func served(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) }

func logsIn(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "right" {
		http.Error(w, "wrong", http.StatusUnauthorized)
		return
	}
	served(w, r)
}
