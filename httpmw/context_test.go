package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

func TestFromContext(t *testing.T) {
	m := newMemory()
	outer, inner, third := bucket.MustRule("outer", "10/minute"), bucket.MustRule("inner", "2/minute"), bucket.MustRule("third", "5 concurrent")
	var inside []httpmw.Decided
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = httpmw.FromContext(r.Context()) })
	h := mustLimit(t, m, outer, theUser)(mustLimit(t, m, inner, everybody, httpmw.And(third, theUser))(handler))
	var outside []httpmw.Decided
	logged := httpmw.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := httpmw.FromContext(r.Context()); got != nil {
			t.Errorf("before anything was decided: %v", got)
		}
		h.ServeHTTP(w, r)
		outside = httpmw.FromContext(r.Context())
	}))
	both := httpmw.Record(logged) // the outer one keeps the record
	for i, allowed := range []bool{true, true, false} {
		inside = nil
		send(both, "GET", "/", "X-User", "alice")
		if (inside != nil) != allowed || len(outside) != 3 {
			t.Fatalf("request %d: %v inside, %v outside", i, inside, outside)
		}
		for n, want := range []struct {
			rule *bucket.Rule
			key  string
			left int64
		}{{outer, "alice", 9 - int64(i)}, {inner, "everybody", max(1-int64(i), 0)}, {third, "alice", 4}} {
			if got := outside[n]; got.Rule != want.rule || got.Key != want.key || got.Decision.Remaining != want.left || got.Decision.Allowed != (allowed || n != 1) {
				t.Errorf("request %d: decision %d is %+v", i, n, got)
			}
		}
	}
	send(h, "GET", "/", "X-User", "alice") // nobody records
	if inside != nil || httpmw.FromContext(context.Background()) != nil {
		t.Errorf("without a record: %v", inside)
	}
}

// A handler may ask from several goroutines, while others are decided.
func TestFromContextAtOnce(t *testing.T) {
	h := mustLimit(t, newMemory(), bucket.MustRule("rule", "100/minute"), everybody)(silent())
	var all sync.WaitGroup
	httpmw.Record(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for range 10 {
			all.Go(func() {
				h.ServeHTTP(httptest.NewRecorder(), r)
				if len(httpmw.FromContext(r.Context())) == 0 {
					t.Error("nothing has been decided")
				}
			})
		}
		all.Wait()
		if n := len(httpmw.FromContext(r.Context())); n != 10 {
			t.Errorf("%d decisions", n)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}
