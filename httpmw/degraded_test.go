package httpmw_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// fixed decides everything alike.
type fixed bucket.Decision

func (f fixed) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision(f), nil
}

// A refusal for want of an answer is the service's fault, one by the local share
// of the limit is the client's.
func TestRefusalByFailurePolicy(t *testing.T) {
	refused := bucket.Decision{Limit: bucket.Limit{Count: 10, Per: time.Minute}, Degraded: true, RetryAfter: time.Second}
	for policy, want := range map[bucket.FailurePolicy]int{
		bucket.LocalShare: http.StatusTooManyRequests,
		bucket.Deny:       http.StatusServiceUnavailable,
	} {
		rule := bucket.MustRule("rule", "10/minute", bucket.WithFailurePolicy(policy))
		limit, err := httpmw.New(fixed(refused), rule, httpmw.ClientIP())
		if err != nil {
			t.Fatal(err)
		}
		w := call(limit(silent()), "GET", "/")
		if w.Code != want || w.Header().Get("Retry-After") != "1" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: got %d %v, want %d", policy, w.Code, w.Header(), want)
		}
	}
}
