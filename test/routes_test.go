package test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	_ "github.com/shoal-dev/shoal/contrib/admin"
	_ "github.com/shoal-dev/shoal/contrib/otel"
	_ "github.com/shoal-dev/shoal/contrib/rules"
	_ "github.com/shoal-dev/shoal/grpcmw"
	_ "github.com/shoal-dev/shoal/httpmw"
)

// No package puts anything where a program serves it without knowing: neither the admin
// pages nor a profiler (S15). gRPC does, by golang.org/x/net/trace, two pages that answer
// loopback alone; the build tag grpcnotrace leaves them out. contrib/prom isn't here, as
// Prometheus's client brings expvar, and with it /debug/vars: its documentation says so.
func TestNothingIsServedByDefault(t *testing.T) {
	for _, path := range []string{
		"/", "/shoal/", "/admin", "/status", "/mode", "/reset", "/peek", "/denied", "/rules", "/table",
		"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/healthz",
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if _, pattern := http.DefaultServeMux.Handler(r); pattern != "" {
			t.Errorf("%s is served by default, as %s", path, pattern)
		}
	}
	for _, path := range []string{"/debug/requests", "/debug/events"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = "192.0.2.1:1234"
		w := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			t.Errorf("%s answers a stranger: %s", path, w.Body)
		}
	}
}
