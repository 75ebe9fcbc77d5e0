package httpmw_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

var (
	theUser    = httpmw.Header("X-User")
	theAddress = httpmw.Header("X-Address")
)

func TestAnd(t *testing.T) {
	byUser := bucket.MustRule("user", "2/minute")
	byAddress := bucket.MustRule("address", "3/minute")
	m := newMemory()
	h := mustLimit(t, m, byUser, theUser, httpmw.And(byAddress, theAddress))(silent())
	for i, x := range []struct {
		user, address string
		status        int
		left          [2]int64
		limit, retry  string
	}{
		{"alice", "a", 200, [2]int64{1, 2}, `"2 per 1 minute";r=1;t=30, "3 per 1 minute";r=2;t=20`, ""},
		{"bob", "a", 200, [2]int64{1, 1}, `"2 per 1 minute";r=1;t=30, "3 per 1 minute";r=1;t=20`, ""},
		{"bob", "a", 200, [2]int64{0, 0}, `"2 per 1 minute";r=0;t=30, "3 per 1 minute";r=0;t=20`, ""},
		// The address refuses; carol is as she was.
		{"carol", "a", 429, [2]int64{2, 0}, `"3 per 1 minute";r=0;t=20, "2 per 1 minute";r=2;t=0`, "20"},
		// bob is refused, and his new address as it was.
		{"bob", "b", 429, [2]int64{0, 3}, `"2 per 1 minute";r=0;t=30, "3 per 1 minute";r=3;t=0`, "30"},
		// Both refuse: the longer wait counts.
		{"bob", "a", 429, [2]int64{0, 0}, `"2 per 1 minute";r=0;t=30, "3 per 1 minute";r=0;t=20`, "30"},
	} {
		w := send(h, "GET", "/", "X-User", x.user, "X-Address", x.address)
		left := [2]int64{m.left(byUser, x.user), m.left(byAddress, x.address)}
		if w.Code != x.status || left != x.left || w.Header().Get("RateLimit") != x.limit || w.Header().Get("Retry-After") != x.retry ||
			w.Header().Get("RateLimit-Policy") != `"2 per 1 minute";q=2;w=60, "3 per 1 minute";q=3;w=60` {
			t.Errorf("request %d: got %d, %v left, %v", i, w.Code, left, w.Header())
		}
	}
	w := send(h, "GET", "/", "X-User", "bob", "X-Address", "a")
	var p struct {
		Detail   string
		Violated []string `json:"violated-policies"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Detail != "2 per 1 minute" || !reflect.DeepEqual(p.Violated, []string{"2 per 1 minute", "3 per 1 minute"}) {
		t.Errorf("got %s", w.Body)
	}
	if w := send(h, "GET", "/", "X-User", "dora"); w.Code != 400 || m.left(byUser, "dora") != 2 {
		t.Errorf("without an address: %d", w.Code)
	}
}

// A charge may be exempt, cost something of its own, and have a rule by request.
func TestAndOfAllKinds(t *testing.T) {
	bytes, requests := bucket.MustRule("bytes", "100/minute"), bucket.MustRule("requests", "10/minute")
	slots := bucket.MustRule("slots", "1 concurrent")
	m := newMemory()
	var inside http.Handler
	h := mustLimit(t, m, requests, everybody,
		httpmw.And(bytes, everybody, httpmw.CostBy(byHeader)),
		httpmw.And(nil, everybody, httpmw.RuleBy(func(r *http.Request) *bucket.Rule {
			if r.URL.Path == "/export" {
				return slots
			}
			return nil
		})))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if inside != nil && r.URL.Path == "/export" {
			h := inside
			inside = nil
			if w := send(h, "GET", "/export", "X-Cost", "10"); w.Code != 429 || w.Header().Get("RateLimit") != `"1 concurrent";r=0` {
				t.Errorf("a second export: %d %v", w.Code, w.Header())
			}
			if m.left(bytes, "everybody") != 60 || m.left(requests, "everybody") != 9 {
				t.Errorf("a second export cost something: %d, %d", m.left(bytes, "everybody"), m.left(requests, "everybody"))
			}
		}
	}))
	inside = h
	for i, x := range []struct {
		target, cost    string
		status          int
		requests, bytes int64
	}{
		{"/export", "40", 200, 9, 60}, {"/", "", 200, 8, 60}, {"/export", "70", 429, 8, 60}, {"/export", "60", 200, 7, 0}, {"/", "", 200, 6, 0},
	} {
		w := send(h, "GET", x.target, "X-Cost", x.cost)
		if w.Code != x.status || m.left(requests, "everybody") != x.requests || m.left(bytes, "everybody") != x.bytes || m.runs("everybody") != 0 {
			t.Errorf("request %d: got %d, %d and %d are left, %d run", i, w.Code, m.left(requests, "everybody"), m.left(bytes, "everybody"), m.runs("everybody"))
		}
	}
}

// The longest of the waits in queues is the request's.
func TestAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := mustLimit(t, m, bucket.MustRule("slow", "1/second leaky burst 5"), everybody, httpmw.And(bucket.MustRule("fast", "10/second leaky"), everybody))(silent())
		call(h, "GET", "/")
		start := time.Now()
		if w := call(h, "GET", "/"); w.Code != 200 || time.Since(start) != time.Second {
			t.Errorf("got %d after %v", w.Code, time.Since(start))
		}
	})
}

func TestAndByPolicy(t *testing.T) {
	refused := bucket.Decision{Degraded: true, RetryAfter: time.Second}
	for name, x := range map[string]struct {
		rules  [2]string
		status int
	}{
		"both deny":         {[2]string{"1/minute; policy deny", "2/minute; policy deny"}, 503},
		"one by its share":  {[2]string{"1/minute; policy deny", "2/minute"}, 429},
		"both by the share": {[2]string{"1/minute", "2/minute"}, 429},
	} {
		first, second := bucket.MustRule("first", x.rules[0]), bucket.MustRule("second", x.rules[1])
		h := mustLimit(t, decided{refused, refused}, first, everybody, httpmw.And(second, everybody))(unserved(t))
		if w := call(h, "GET", "/"); w.Code != x.status {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
}

// decided is a MultiTaker that has decided.
type decided []bucket.Decision

func (decided) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{}, errDown
}

func (d decided) TakeAll(context.Context, []bucket.Charge) ([]bucket.Decision, error) { return d, nil }

func TestNoDecisionOfMany(t *testing.T) {
	first, second, slots := bucket.MustRule("first", "1/minute"), bucket.MustRule("second", "1/minute"), bucket.MustRule("slots", "1 concurrent")
	m := newMemory()
	for name, h := range map[string]http.Handler{
		"TakeAll":      mustLimit(t, failingMemory{m}, first, everybody, httpmw.And(second, everybody))(unserved(t)),
		"Acquire":      mustLimit(t, failingMemory{m}, first, everybody, httpmw.And(slots, everybody))(unserved(t)),
		"one too few":  mustLimit(t, decided{{Allowed: true}}, first, everybody, httpmw.And(second, everybody))(unserved(t)),
		"after a slot": mustLimit(t, takeFails{m}, first, everybody, httpmw.And(slots, everybody))(unserved(t)),
	} {
		if w := call(h, "GET", "/"); w.Code != 503 || len(w.Header()["Ratelimit"]) != 0 || m.runs("everybody") != 0 || !strings.Contains(w.Body.String(), "temporary-reduced-capacity") {
			t.Errorf("%s: got %d %v, %d run", name, w.Code, w.Header(), m.runs("everybody"))
		}
	}
}

// takeFails can do nothing but Acquire.
type takeFails struct{ *memory }

func (takeFails) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{}, errDown
}

// Only what the response is charged for stays charged, of all keys.
func TestAndChargeIf(t *testing.T) {
	byUser, byAddress := bucket.MustRule("user", "2/minute"), bucket.MustRule("address", "3/minute")
	m := newMemory()
	h := mustLimit(t, m, byUser, theUser, httpmw.And(byAddress, theAddress), httpmw.ChargeIf(failed))(login)
	for i, x := range []struct {
		password string
		status   int
		left     [2]int64
	}{
		{"right", 200, [2]int64{2, 3}}, {"wrong", 401, [2]int64{1, 2}}, {"right", 200, [2]int64{1, 2}}, {"wrong", 401, [2]int64{0, 1}}, {"right", 429, [2]int64{0, 1}},
	} {
		w := send(h, "POST", "/", "X-User", "alice", "X-Address", "a", "Password", x.password)
		if left := [2]int64{m.left(byUser, "alice"), m.left(byAddress, "a")}; w.Code != x.status || left != x.left {
			t.Errorf("request %d: got %d, %v left", i, w.Code, left)
		}
	}
}
