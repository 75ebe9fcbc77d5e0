package httpmw_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// byHeader reads the cost off a header.
func byHeader(r *http.Request) (int64, error) {
	switch v := r.Header.Get("X-Cost"); v {
	case "":
		return 0, httpmw.ErrExempt
	default:
		return strconv.ParseInt(v, 10, 64)
	}
}

func TestCost(t *testing.T) {
	rule := bucket.MustRule("rule", "10/minute")
	for cost, left := range map[int64]int64{0: 10, 1: 9, 7: 3, 10: 0} {
		m := newMemory()
		h := mustLimit(t, m, rule, everybody, httpmw.Cost(cost))(silent())
		w := call(h, "GET", "/")
		if want := fmt.Sprintf(`"10 per 1 minute";r=%d;t=`, left); w.Code != 200 || !strings.HasPrefix(w.Header().Get("RateLimit"), want) {
			t.Errorf("a cost of %d: %d, %v", cost, w.Code, w.Header())
		}
	}
}

func TestCostBy(t *testing.T) {
	rule := bucket.MustRule("rule", "10/minute")
	m := newMemory()
	h := mustLimit(t, m, rule, everybody, httpmw.CostBy(byHeader))(silent())
	for i, x := range []struct {
		cost   string
		status int
		left   int64
	}{{"4", 200, 6}, {"", 200, 6}, {"7", 429, 6}, {"-1", 400, 6}, {"many", 400, 6}, {"11", 429, 6}, {"6", 200, 0}, {"0", 200, 0}, {"1", 429, 0}} {
		w := send(h, "GET", "/", "X-Cost", x.cost)
		if w.Code != x.status || m.left(rule, "everybody") != x.left {
			t.Errorf("request %d, which costs %q: got %d, and %d are left", i, x.cost, w.Code, m.left(rule, "everybody"))
		}
		if known := x.cost == "" || x.status == 400; known == (w.Header().Get("RateLimit") != "") {
			t.Errorf("request %d: %v", i, w.Header())
		}
		if x.status == 400 && !strings.Contains(w.Body.String(), "how much it asks for") {
			t.Errorf("request %d: %s", i, w.Body)
		}
		if never := x.cost == "11"; never && w.Header().Get("Retry-After") != "" {
			t.Errorf("what can never pass is told to come again: %v", w.Header())
		}
	}
}

// Each request has the rule of its plan; a plan may have none, and may change.
func TestRuleBy(t *testing.T) {
	plans := map[string]*bucket.Rule{"free": bucket.MustRule("plan free", "1/minute"), "paid": bucket.MustRule("plan paid", "2/minute"), "one": bucket.MustRule("one", "1 concurrent")}
	m := newMemory()
	h := mustLimit(t, m, nil, everybody, httpmw.RuleBy(func(r *http.Request) *bucket.Rule { return plans[r.Header.Get("Plan")] }))(silent())
	for i, x := range []struct {
		plan   string
		status int
		policy string
	}{
		{"free", 200, `"1 per 1 minute";q=1;w=60`},
		{"free", 429, `"1 per 1 minute";q=1;w=60`},
		{"paid", 200, `"2 per 1 minute";q=2;w=60`},
		{"own", 200, ""},
		{"one", 200, `"1 concurrent";q=1;qu="concurrent-requests"`},
		{"paid", 200, `"2 per 1 minute";q=2;w=60`},
		{"paid", 429, `"2 per 1 minute";q=2;w=60`},
	} {
		w := send(h, "GET", "/", "Plan", x.plan)
		if w.Code != x.status || w.Header().Get("RateLimit-Policy") != x.policy {
			t.Errorf("request %d of plan %q: got %d %v", i, x.plan, w.Code, w.Header())
		}
	}
	plans["free"] = bucket.MustRule("plan free", "3/minute") // what was used stays used
	if w := send(h, "GET", "/", "Plan", "free"); w.Code != 200 || w.Header().Get("RateLimit") != `"3 per 1 minute";r=1;t=20` {
		t.Errorf("after the change: %d %v", w.Code, w.Header())
	}
}

// The headers of more rules than are kept are right, too.
func TestRuleByMakesRules(t *testing.T) {
	n := 0
	h := mustLimit(t, newMemory(), nil, everybody, httpmw.RuleBy(func(*http.Request) *bucket.Rule {
		return bucket.MustRule("rule "+strconv.Itoa(n), strconv.Itoa(n)+"/minute")
	}))(silent())
	for n = 1; n < 1000; n++ {
		if w := call(h, "GET", "/"); w.Header().Get("RateLimit-Policy") != fmt.Sprintf(`"%d per 1 minute";q=%[1]d;w=60`, n) {
			t.Fatalf("rule %d: %v", n, w.Header())
		}
	}
}

func TestExemptions(t *testing.T) {
	rule := bucket.MustRule("rule", "0/minute")
	health := func(r *http.Request) bool { return r.URL.Path == "/health" }
	staff := func(r *http.Request) bool { return r.Header.Get("X-Staff") != "" }
	key := func(r *http.Request) (string, error) {
		if r.Header.Get("X-Key") == "exempt" {
			return "", fmt.Errorf("so: %w", httpmw.ErrExempt)
		}
		return "key", nil
	}
	h := mustLimit(t, newMemory(), rule, key, httpmw.SkipIf(health), httpmw.SkipIf(staff))(silent())
	for i, x := range []struct {
		method, target string
		headers        []string
		status         int
	}{
		{"GET", "/", nil, 429},
		{"GET", "/health", nil, 200},
		{"GET", "/", []string{"X-Staff", "yes"}, 200},
		{"GET", "/", []string{"X-Key", "exempt"}, 200},
		{"OPTIONS", "/", nil, 200},
		{"HEAD", "/", nil, 429},
	} {
		w := send(h, x.method, x.target, x.headers...)
		if w.Code != x.status || (w.Header().Get("RateLimit") == "") != (x.status == 200) {
			t.Errorf("request %d: got %d %v", i, w.Code, w.Header())
		}
	}
	strict := mustLimit(t, newMemory(), rule, key, httpmw.ChargePreflights())(unserved(t))
	if w := call(strict, "OPTIONS", "/"); w.Code != 429 {
		t.Errorf("a preflight that counts got %d", w.Code)
	}
}

func TestMatches(t *testing.T) {
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /items/{id}", "/static/", "POST /login"} {
		mux.Handle(pattern, silent())
	}
	rule := bucket.MustRule("rule", "0/minute")
	for name, x := range map[string]struct {
		patterns []string
		limited  []string
	}{
		"none":               {nil, []string{"/items/1", "/static/a.css", "/login", "/nothing"}},
		"files":              {[]string{"/static/"}, []string{"/items/1", "/login", "/nothing"}},
		"a route":            {[]string{"GET /items/{id}"}, []string{"/static/a.css", "/login", "/nothing"}},
		"no route":           {[]string{""}, []string{"/items/1", "/static/a.css"}}, // GET /login is a 405
		"not registered":     {[]string{"/items/"}, []string{"/items/1", "/static/a.css", "/login", "/nothing"}},
		"files and no route": {[]string{"", "/static/"}, []string{"/items/1"}},
	} {
		h := mustLimit(t, newMemory(), rule, everybody, httpmw.SkipIf(httpmw.Matches(mux, x.patterns...)))(mux)
		limited := strings.Join(x.limited, " ")
		for _, target := range []string{"/items/1", "/static/a.css", "/login", "/nothing"} {
			if w := call(h, "GET", target); (w.Code == 429) != strings.Contains(limited, target) {
				t.Errorf("%s: %s got %d", name, target, w.Code)
			}
		}
	}
}

func TestMatchesNeedsAMux(t *testing.T) {
	defer func() {
		if got := recover(); got == nil {
			t.Error("there is nothing to match with")
		}
	}()
	httpmw.Matches(nil, "/")
}

// bare is a Limiter with one method.
type bare struct{}

func (bare) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{}, nil
}

func TestConstructionErrors(t *testing.T) {
	rate, slots := bucket.MustRule("rate", "3/minute; 5/hour"), bucket.MustRule("slots", "2 concurrent")
	rules := httpmw.RuleBy(func(*http.Request) *bucket.Rule { return nil })
	all := func(int, http.Header) bool { return true }
	for name, x := range map[string]struct {
		limiter httpmw.Limiter
		rule    *bucket.Rule
		opts    []httpmw.Option
		words   []string
	}{
		"nil option":            {newMemory(), rate, []httpmw.Option{nil}, []string{"option is nil"}},
		"nil option in And":     {newMemory(), rate, []httpmw.Option{httpmw.And(rate, everybody, nil)}, []string{"option is nil"}},
		"nil functions":         {newMemory(), rate, []httpmw.Option{httpmw.RuleBy(nil), httpmw.CostBy(nil), httpmw.SkipIf(nil), httpmw.ChargeIf(nil)}, []string{"RuleBy", "CostBy", "SkipIf", "ChargeIf"}},
		"negative cost":         {newMemory(), rate, []httpmw.Option{httpmw.Cost(-1)}, []string{"Cost is -1", "at least 0"}},
		"cost above the burst":  {newMemory(), rate, []httpmw.Option{httpmw.Cost(4)}, []string{"Cost is 4", `"rate"`, "3", "raise its burst"}},
		"two costs":             {newMemory(), rate, []httpmw.Option{httpmw.Cost(2), httpmw.CostBy(byHeader)}, []string{"Cost and CostBy"}},
		"two rules":             {newMemory(), rate, []httpmw.Option{rules}, []string{`"rate"`, "RuleBy", "And"}},
		"no rule":               {newMemory(), nil, nil, []string{"no rule"}},
		"nothing in And":        {newMemory(), rate, []httpmw.Option{httpmw.And(nil, nil)}, []string{"And: no rule", "And: no key"}},
		"no TakeAll":            {bare{}, rate, []httpmw.Option{httpmw.And(rate, everybody)}, []string{"bare", "TakeAll", "*cluster.Node"}},
		"no TakeAll for RuleBy": {bare{}, nil, []httpmw.Option{rules, httpmw.And(rate, everybody)}, []string{"TakeAll"}},
		"no Acquire in And":     {bare{}, rate, []httpmw.Option{httpmw.And(slots, everybody)}, []string{"bare", "Acquire"}},
		"no Refund":             {bare{}, rate, []httpmw.Option{httpmw.ChargeIf(all)}, []string{"bare", "Refund", "*cluster.Node"}},
		"ChargeIf for slots":    {newMemory(), slots, []httpmw.Option{httpmw.ChargeIf(all)}, []string{"ChargeIf", "runs at a time"}},
		"cost of slots":         {newMemory(), slots, []httpmw.Option{httpmw.Cost(1)}, []string{`"slots"`, "one slot"}},
		"two answers": {newMemory(), rate, []httpmw.Option{httpmw.Answer(httpmw.Answers{ByAccept: true, Refused: func(http.ResponseWriter, *http.Request, httpmw.Refusal) {}})},
			[]string{"Answers.Refused, and Message or ByAccept"}},
		"answers": {newMemory(), rate, []httpmw.Option{httpmw.Answer(httpmw.Answers{Draft: 9, Jitter: -1, X: httpmw.XFields{Limit: "a b", Delta: true}})},
			[]string{"Draft is 9", "Jitter is -1ns", `X.Limit "a b"`, "Delta"}},
	} {
		limit, err := httpmw.New(x.limiter, x.rule, everybody, x.opts...)
		if limit != nil || err == nil {
			t.Errorf("%s: got a middleware: %t, and %v", name, limit != nil, err)
			continue
		}
		for _, word := range x.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: no %q in %q", name, word, err)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines > len(x.words) {
			t.Errorf("%s: %d faults: %v", name, lines, err)
		}
	}
	for name, opts := range map[string][]httpmw.Option{
		"a cost of all":       {httpmw.Cost(3)},
		"slots and rates":     {httpmw.And(slots, everybody)},
		"a rule by request":   {httpmw.And(nil, everybody, rules)},
		"all that answers do": {httpmw.Answer(httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit(), Jitter: time.Second})},
	} {
		if _, err := httpmw.New(newMemory(), rate, everybody, opts...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := httpmw.New(newMemory(), bucket.MustRule("never", "0/minute"), everybody, httpmw.Cost(5)); err != nil {
		t.Errorf("a rule that refuses everything may cost anything: %v", err)
	}
}

// A rule that needs what the limiter hasn't got comes with a request: no answer.
func TestRuleByWithoutAcquire(t *testing.T) {
	slots := bucket.MustRule("slots", "2 concurrent")
	var why error
	h := mustLimit(t, bare{}, nil, everybody, httpmw.RuleBy(func(*http.Request) *bucket.Rule { return slots }),
		httpmw.Answer(httpmw.Answers{Refused: func(_ http.ResponseWriter, _ *http.Request, f httpmw.Refusal) { why = f.Err }}))(unserved(t))
	if w := call(h, "GET", "/"); w.Code != http.StatusServiceUnavailable || why == nil || !strings.Contains(why.Error(), "Acquire") {
		t.Errorf("got %d, %v", w.Code, why)
	}
}
