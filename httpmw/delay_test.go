package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// A queue shapes: what is allowed goes on when its turn has come.
func TestAllowedRequestsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allowed := fixed{Allowed: true, Delay: 300 * time.Millisecond, Limit: bucket.Limit{Count: 1, Per: time.Second}}
		limit, err := httpmw.New(allowed, bucket.MustRule("rule", "1/second leaky"), httpmw.ClientIP())
		if err != nil {
			t.Fatal(err)
		}
		served := 0
		h := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))

		start := time.Now()
		if w := call(h, "GET", "/"); w.Code != 200 || served != 1 || time.Since(start) != 300*time.Millisecond {
			t.Errorf("got %d, served %d times, after %v", w.Code, served, time.Since(start))
		}

		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		impatient, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		for ctx, after := range map[context.Context]time.Duration{gone: 100 * time.Millisecond, impatient: 0} {
			start, w := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
			if served != 1 || w.Code != http.StatusServiceUnavailable || time.Since(start) > after {
				t.Errorf("a client that won't wait got %d after %v", w.Code, time.Since(start))
			}
		}
	})
}
