package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// broken is a limiter that panics, whatever it is asked.
type broken struct{}

func (broken) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	panic("limiter")
}

func (broken) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	panic("limiter")
}

// Where the limiter panics the rule's failure policy decides; a panic of the handler
// goes on as it would without the middleware.
func TestPanics(t *testing.T) {
	for _, limits := range []string{"1/hour", "1 concurrent"} {
		for policy, want := range map[bucket.FailurePolicy]int{bucket.LocalShare: 204, bucket.Allow: 204, bucket.Deny: 503} {
			rule := bucket.MustRule("api", limits, bucket.WithFailurePolicy(policy))
			mw, err := httpmw.New(broken{}, rule, httpmw.Const("all"))
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != want {
				t.Errorf("%s, %v: %d, want %d", limits, policy, w.Code, want)
			}
		}
	}
	for _, l := range []httpmw.Limiter{broken{}, newLocal()} {
		mw, err := httpmw.New(l, bucket.MustRule("api", "1/hour"), httpmw.Const("all"))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%v came through", p)
				}
			}()
			mw(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })).
				ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
	}
}
