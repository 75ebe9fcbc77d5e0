package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// limiterFunc is a Limiter that says what a test wants to hear.
type limiterFunc func(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)

func (f limiterFunc) Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return f(ctx, rule, key, tokens)
}

// always decides d, whatever it is asked.
func always(d bucket.Decision) limiterFunc {
	return func(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) { return d, nil }
}

// failing can't decide.
func failing(err error) limiterFunc {
	return func(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
		return bucket.Decision{}, err
	}
}

// unreached is a Limiter that no request may get to.
func unreached(t *testing.T) limiterFunc {
	return func(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
		t.Error("the limiter was asked")
		return bucket.Decision{Allowed: true}, nil
	}
}

// unserved is a handler that no request may get to.
func unserved(t *testing.T) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
}

// silent answers 200 and nothing else.
func silent() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
}

// everybody has the same key.
func everybody(*http.Request) (string, error) { return "everybody", nil }

func newRule(t tester, limits ...bucket.Limit) *bucket.Rule {
	t.Helper()
	rule, err := bucket.NewRule("rule", limits)
	if err != nil {
		t.Fatalf("NewRule: %v", err)
	}
	return rule
}

func newLimit(t tester, l httpmw.Limiter, rule *bucket.Rule, key httpmw.KeyFunc, opts ...httpmw.Option) func(http.Handler) http.Handler {
	t.Helper()
	limit, err := httpmw.New(l, rule, key, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return limit
}

func call(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// shown is a limit's name as clients see it: in headers there is only ASCII.
func shown(l bucket.Limit) string { return strings.ReplaceAll(l.String(), "µ", "u") }
