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

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		if served != 1 || time.Since(start) != 100*time.Millisecond {
			t.Errorf("a client that went away was served after %v", time.Since(start))
		}
	})
}
