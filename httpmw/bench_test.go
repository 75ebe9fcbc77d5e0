package httpmw_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s sink) Header() http.Header       { return s.header }
func (sink) Write(b []byte) (int, error) { return len(b), nil }
func (sink) WriteHeader(int)             {}

// BenchmarkMiddleware measures a handler bare, and limited by a store in the
// same process; what a replica's question to another costs comes on top.
// more-allocs is what the middleware adds to the bare handler's.
func BenchmarkMiddleware(b *testing.B) {
	bare := silent()
	limited := func(key httpmw.KeyFunc, limits ...bucket.Limit) http.Handler {
		return newLimit(b, newLocal(), newRule(b, limits...), key)(bare)
	}
	answering := func(l httpmw.Limiter, a httpmw.Answers) http.Handler {
		rule := newRule(b, bucket.Limit{Count: 10, Per: time.Second})
		return newLimit(b, l, rule, httpmw.ClientIP(), httpmw.Answer(a))(bare)
	}
	free := always(bucket.Decision{Allowed: true, Limit: bucket.Limit{Count: 10, Per: time.Second}, Remaining: 9, ResetAfter: time.Second})
	all := httpmw.Answers{X: httpmw.XRateLimit(), Expose: true}
	plenty := bucket.Limit{Count: math.MaxInt64, Per: time.Second}
	proxied := httpmw.ClientIP(netip.MustParsePrefix("192.0.2.0/24"))
	allocs := func(h http.Handler) float64 {
		w, r := sink{http.Header{}}, request()
		return testing.AllocsPerRun(100, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		})
	}
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"bare", bare},
		{"limited by a constant", limited(everybody, plenty)},
		{"limited by address", limited(httpmw.ClientIP(), plenty)},
		{"limited by forwarded address", limited(proxied, plenty)},
		{"limited by header", limited(httpmw.Header("X-Api-Key"), plenty)},
		{"limited by address, no headers", answering(newLocal(), httpmw.Answers{Draft: httpmw.NoDraft})},
		{"limited by address, all headers", answering(newLocal(), all)},
		{"the middleware alone, no headers", answering(free, httpmw.Answers{Draft: httpmw.NoDraft})},
		{"the middleware alone, all headers", answering(free, all)},
		{"three limits", limited(everybody, plenty, plenty, plenty)},
		{"refused", limited(everybody, bucket.Limit{Count: 0, Per: time.Second})},
		{"without a key", limited(httpmw.Header("X-Absent"), plenty)},
	} {
		b.Run(c.name, func(b *testing.B) {
			more := allocs(c.handler) - allocs(bare)
			w, r := sink{http.Header{}}, request()
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				c.handler.ServeHTTP(w, r)
			}
			b.ReportMetric(more, "more-allocs")
		})
	}
}

// BenchmarkSetHeaders measures what a handler that decides by itself pays.
func BenchmarkSetHeaders(b *testing.B) {
	rule := bucket.MustRule("rule", "10/second; 100/minute; 1000/hour")
	d := bucket.Decision{Allowed: true, Limit: rule.Limits()[1], Remaining: 9, ResetAfter: time.Second}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		httpmw.SetHeaders(h, rule, d)
	}
}

func request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Api-Key", "0123456789abcdef")
	r.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.7")
	return r
}

// What a limit adds to a request, whatever headers it sets: one string with all of
// their text, and one slice.
func TestAllocations(t *testing.T) {
	rule := newRule(t, bucket.Limit{Count: math.MaxInt64, Per: time.Second})
	for _, c := range []struct {
		name    string
		answers httpmw.Answers
		most    float64
	}{
		{"none", httpmw.Answers{Draft: httpmw.NoDraft}, 0},
		{"the draft's", httpmw.Answers{}, 2},
		{"all", httpmw.Answers{X: httpmw.XRateLimit(), Expose: true}, 2},
	} {
		h := newLimit(t, newLocal(), rule, httpmw.ClientIP(), httpmw.Answer(c.answers))(silent())
		w, r := sink{http.Header{}}, request()
		if n := testing.AllocsPerRun(100, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		}); n > c.most {
			t.Errorf("%s: %v allocations, more than %v", c.name, n, c.most)
		}
	}
}
