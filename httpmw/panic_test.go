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

// forgetful is a limiter that decides, and panics when something is given back.
type forgetful struct{ mixed }

// mixed is a limiter for all that there is.
type mixed struct {
	*local
	*slots
}

func newMixed(t *testing.T) mixed { return mixed{newLocal(), newSlots(t)} }

func (mixed) Refund(context.Context, *bucket.Rule, string, bucket.Receipt) error { return nil }

func (f forgetful) Acquire(ctx context.Context, rule *bucket.Rule, key string) (func(), bucket.Decision, error) {
	release, d, err := f.mixed.Acquire(ctx, rule, key)
	return func() { release(); panic("release") }, d, err
}

func (forgetful) Refund(context.Context, *bucket.Rule, string, bucket.Receipt) error { panic("refund") }

// A limiter that panics while it takes something back doesn't panic in the handler's
// Write, nor keep the other slots.
func TestPanicsOnTheWayBack(t *testing.T) {
	l := forgetful{newMixed(t)}
	rate, slots, more := bucket.MustRule("api", "9/hour"), bucket.MustRule("slots", "1 concurrent"), bucket.MustRule("more", "1 concurrent")
	mw, err := httpmw.New(l, rate, httpmw.Const("all"), httpmw.And(slots, httpmw.Const("slots")), httpmw.And(more, httpmw.Const("more")),
		httpmw.ChargeIf(func(int, http.Header) bool { return false }))
	if err != nil {
		t.Fatal(err)
	}
	served := mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	for range 2 {
		w := httptest.NewRecorder()
		served.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 204 {
			t.Errorf("%d, want 204", w.Code)
		}
	}
}

// What the user's own functions panic with goes on to the server, as the handler's does,
// and leaves no slot taken.
func TestPanicsOfTheUsersFunctions(t *testing.T) {
	l, keys := newMixed(t), httpmw.Const("all")
	slots := bucket.MustRule("slots", "1 concurrent")
	for name, opt := range map[string]httpmw.Option{
		"key":       httpmw.And(bucket.MustRule("more", "9 concurrent"), func(*http.Request) (string, error) { panic(http.ErrAbortHandler) }),
		"skip":      httpmw.SkipIf(func(*http.Request) bool { panic(http.ErrAbortHandler) }),
		"charge if": httpmw.ChargeIf(func(int, http.Header) bool { panic(http.ErrAbortHandler) }),
	} {
		options := []httpmw.Option{opt}
		if name == "charge if" {
			options = append(options, httpmw.And(bucket.MustRule("api", "9/hour"), keys))
		}
		mw, err := httpmw.New(l, slots, keys, options...)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: %v came through", name, p)
				}
			}()
			mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })).
				ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
		if release, d, err := l.Acquire(t.Context(), slots, "all"); err != nil || !d.Allowed {
			t.Errorf("%s: the slot is still taken: %v, %v", name, d, err)
		} else {
			release()
		}
	}
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
