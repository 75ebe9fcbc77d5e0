package httpmw_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// What is surprising about Flask-Limiter, and not so here. Two are tested elsewhere:
// that charging by the response is exact when many come at once, by
// TestChargeIfAtOnce, and that an empty key is refused, by TestNoKey.

// There, what one limit refuses may stay charged to another.
func TestTrapRefusedYetCharged(t *testing.T) {
	m := newMemory()
	app, route := bucket.MustRule("app", "5/minute"), bucket.MustRule("route", "2/minute; 10/hour")
	h := mustLimit(t, m, app, everybody, httpmw.And(route, everybody))(silent())
	wantCodes(t, h, []string{"/"}, 200, 200, 429, 429, 429)
	if left := m.left(app, "everybody"); left != 3 {
		t.Errorf("%d of 5 are left after two were served", left)
	}
}

// There, Retry-After is up to a second late, and on responses that passed, too.
func TestTrapRetryAfter(t *testing.T) {
	m := newMemory()
	h := mustLimit(t, m, bucket.MustRule("rule", "1 per 10 seconds"), everybody)(silent())
	if w := call(h, "GET", "/"); w.Code != 200 || w.Header().Get("Retry-After") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	if w := call(h, "GET", "/"); w.Code != 429 || w.Header().Get("Retry-After") != "10" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	m.now.Store(int64(10*time.Second - 1))
	wantCodes(t, h, []string{"/"}, 429)
	m.now.Store(int64(10 * time.Second))
	wantCodes(t, h, []string{"/"}, 200)
}

// There, a browser's preflights cost quota.
func TestTrapPreflight(t *testing.T) {
	h := mustLimit(t, newMemory(), bucket.MustRule("rule", "1/minute"), everybody)(silent())
	for _, method := range []string{"OPTIONS", "OPTIONS", "PUT", "OPTIONS"} {
		if w := send(h, method, "/", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT"); w.Code != 200 {
			t.Errorf("%s: got %d", method, w.Code)
		}
	}
}

// There, a limit that can't be read gives way to the defaults, or to a 500.
func TestTrapMalformedLimit(t *testing.T) {
	rule, err := bucket.ParseRule("rule", "10 per fortnight")
	if rule != nil || err == nil || !strings.Contains(err.Error(), "fortnight") {
		t.Errorf("got %v, %v", rule, err)
	}
	if limit, err := httpmw.New(newMemory(), rule, everybody); limit != nil || err == nil {
		t.Errorf("without a rule: a middleware %t, %v", limit != nil, err)
	}
}

// There, a fixed window counts what it refuses.
func TestTrapRefusedHitsCount(t *testing.T) {
	m := newMemory()
	rule := bucket.MustRule("rule", "5/minute fixed")
	h := mustLimit(t, m, rule, everybody, httpmw.CostBy(byHeader))(silent())
	for _, x := range []struct {
		cost   string
		status int
	}{{"1", 200}, {"5", 429}, {"5", 429}, {"4", 200}, {"1", 429}} {
		if w := send(h, "GET", "/", "X-Cost", x.cost); w.Code != x.status {
			t.Errorf("a cost of %s: got %d", x.cost, w.Code)
		}
	}
}

// There, a ban's window always begins with the first refusal. Here it is counted as
// the penalty says: so, or by the clock, or without a window.
func TestTrapPenaltyWindow(t *testing.T) {
	for text, until := range map[string]time.Duration{
		"penalty 2/hour fixed":         70 * time.Minute,
		"penalty 2/hour fixed aligned": time.Hour,
		"penalty 2/hour":               40 * time.Minute, // one each half-hour
	} {
		for at, status := range map[time.Duration]int{until - 1: 429, until: 200} {
			m := newMemory()
			h := mustLimit(t, m, bucket.MustRule("rule", "1/second; "+text), everybody)(silent())
			m.now.Store(int64(10 * time.Minute))
			wantCodes(t, h, []string{"/"}, 200, 429, 429)
			m.now.Store(int64(at))
			if w := call(h, "GET", "/"); w.Code != status {
				t.Errorf("%s: at %v got %d", text, at, w.Code)
			}
		}
	}
}

// There, a group's limit counts each of its routes by itself.
func TestTrapGroupLimitIsShared(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/a", silent())
	mux.Handle("/b", silent())
	group := mustLimit(t, newMemory(), bucket.MustRule("group", "2/minute"), everybody)(mux)
	wantCodes(t, group, []string{"/a", "/b", "/a"}, 200, 200, 429)
}

// There, a message is silently lost to a callback.
func TestTrapMessageAndCallback(t *testing.T) {
	limit, err := httpmw.New(newMemory(), bucket.MustRule("rule", "1/minute"), everybody, httpmw.Answer(httpmw.Answers{
		Message: func(*http.Request, httpmw.Refusal) string { return "chill!" },
		Refused: func(http.ResponseWriter, *http.Request, httpmw.Refusal) {},
	}))
	if limit != nil || err == nil || !strings.Contains(err.Error(), "leave one or the other out") {
		t.Errorf("got a middleware: %t, and %v", limit != nil, err)
	}
}

// There, who is exempt from the application's limits loses the route's own, too.
func TestTrapExemptFromOne(t *testing.T) {
	staff := func(r *http.Request) (string, error) {
		if r.Header.Get("X-Staff") != "" {
			return "", httpmw.ErrExempt
		}
		return "everybody", nil
	}
	h := mustLimit(t, newMemory(), bucket.MustRule("app", "0/day"), staff, httpmw.And(bucket.MustRule("route", "1/day"), everybody))(silent())
	for _, x := range []struct {
		staff  string
		status int
	}{{"", 429}, {"yes", 200}, {"yes", 429}} {
		if w := send(h, "GET", "/", "X-Staff", x.staff); w.Code != x.status {
			t.Errorf("staff %q: got %d", x.staff, w.Code)
		}
	}
}

// There, applications that share a store share their bans, whatever their prefix.
func TestTrapPenaltiesAreTheRules(t *testing.T) {
	m := newMemory()
	shop := mustLimit(t, m, bucket.MustRule("shop", "1/second; penalty 1/hour fixed"), everybody)(silent())
	blog := mustLimit(t, m, bucket.MustRule("blog", "1/second; penalty 1/hour fixed"), everybody)(silent())
	wantCodes(t, shop, []string{"/"}, 200, 429)
	m.now.Store(int64(2 * time.Second))
	wantCodes(t, shop, []string{"/"}, 429)
	wantCodes(t, blog, []string{"/"}, 200)
}

// There, it isn't said what a refused request with a cost counts for a ban. Here a
// penalty counts refusals, whatever they would have cost.
func TestTrapPenaltyOfACost(t *testing.T) {
	m := newMemory()
	h := mustLimit(t, m, bucket.MustRule("rule", "10/minute fixed; penalty 3/hour fixed"), everybody, httpmw.CostBy(byHeader))(silent())
	for i, status := range []int{429, 429, 200, 429, 429} {
		cost := "11"
		if status == 200 || i == 4 {
			cost = "1"
		}
		if w := send(h, "GET", "/", "X-Cost", cost); w.Code != status {
			t.Errorf("request %d: got %d", i, w.Code)
		}
	}
}

// There, of two limiters on a route the first is charged though the second refuses.
func TestTrapTwoLimiters(t *testing.T) {
	m := newMemory()
	first, second := bucket.MustRule("first", "5/minute"), bucket.MustRule("second", "1/minute")
	h := mustLimit(t, m, first, theUser, httpmw.And(second, everybody))(silent())
	for _, status := range []int{200, 429, 429} {
		if w := send(h, "GET", "/", "X-User", "alice"); w.Code != status {
			t.Errorf("got %d, want %d", w.Code, status)
		}
	}
	if left := m.left(first, "alice"); left != 4 {
		t.Errorf("%d of 5 are left of the first", left)
	}
}
