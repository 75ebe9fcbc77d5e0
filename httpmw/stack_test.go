package httpmw_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// Middlewares around each other list their limits, the nearest first.
func TestStacked(t *testing.T) {
	m := newMemory()
	wide := mustLimit(t, m, bucket.MustRule("wide", "all = 5/minute"), everybody)
	narrow := mustLimit(t, m, bucket.MustRule("narrow", "2/second; route = 3/minute"), everybody)
	policy := `"all";q=5;w=60, "2 per 1 second";q=2;w=1, "route";q=3;w=60`
	for i, x := range []struct {
		at           time.Duration
		status       int
		limit, retry string
	}{
		{0, 200, `"2 per 1 second";r=1;t=1, "all";r=4;t=12`, ""},
		{0, 200, `"2 per 1 second";r=0;t=1, "all";r=3;t=12`, ""},
		{0, 429, `"2 per 1 second";r=0;t=1, "all";r=2;t=12`, "1"},
		{2 * time.Second, 200, `"route";r=0;t=18, "all";r=1;t=10`, ""},
		{3 * time.Second, 429, `"route";r=0;t=17, "all";r=0;t=9`, "17"},
		{4 * time.Second, 429, `"all";r=0;t=8`, "8"},
	} {
		m.now.Store(int64(x.at))
		w := call(wide(narrow(silent())), "GET", "/")
		want := policy
		if i == 5 {
			want = `"all";q=5;w=60` // the inner one was not asked
		}
		if w.Code != x.status || w.Header().Get("RateLimit") != x.limit || w.Header().Get("Retry-After") != x.retry || w.Header().Get("RateLimit-Policy") != want ||
			len(w.Header()["Ratelimit"]) != 1 || len(w.Header()["Ratelimit-Policy"]) != 1 {
			t.Errorf("request %d: got %d %v", i, w.Code, w.Header())
		}
		for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
			if _, err := parseList(w.Header().Get(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The same rule asked twice is listed once, with the least that is left.
func TestStackedByOneRule(t *testing.T) {
	m := newMemory()
	rule := bucket.MustRule("rule", "5/minute")
	limit := mustLimit(t, m, rule, everybody)
	for _, left := range []string{"r=3;t=12", "r=1;t=12"} {
		w := call(limit(limit(silent())), "GET", "/")
		if w.Header().Get("RateLimit") != `"5 per 1 minute";`+left || w.Header().Get("RateLimit-Policy") != `"5 per 1 minute";q=5;w=60` {
			t.Errorf("got %v", w.Header())
		}
	}
	w := call(limit(limit(silent())), "GET", "/") // the inner one refuses
	if w.Code != 429 || w.Header().Get("RateLimit") != `"5 per 1 minute";r=0;t=12` {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	h := http.Header{}
	d := bucket.Decision{Allowed: true, Limit: rule.Limits()[0], Remaining: 1, ResetAfter: time.Second}
	httpmw.SetHeaders(h, rule, d)
	d.Remaining = 4
	httpmw.SetHeaders(h, rule, d)
	if got := h.Get("RateLimit"); got != `"5 per 1 minute";r=1;t=0` && got != `"5 per 1 minute";r=1;t=1` {
		t.Errorf("got %q", got)
	}
}

// Whatever stands there, the list can be read, and what was ours is kept.
func TestListsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := http.Header{}
		names := map[string]int64{}
		var policies []string
		for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
			rule := newRule(t, bucket.Limit{Name: drawName(t), Count: rapid.Int64Range(1, 100).Draw(t, "count"), Per: time.Second})
			d := bucket.Decision{Allowed: i == 0 || rapid.Bool().Draw(t, "allowed"), Limit: rule.Limits()[0], Remaining: rapid.Int64Range(0, 100).Draw(t, "left"), RetryAfter: time.Second}
			if rapid.Bool().Draw(t, "split") { // as a proxy may do
				h["Ratelimit-Policy"] = splitList(h["Ratelimit-Policy"])
				h["Ratelimit"] = splitList(h["Ratelimit"])
			}
			httpmw.SetHeaders(h, rule, d)
			name := shown(d.Limit)
			if left, known := names[name]; !known || d.Remaining < left || !d.Allowed {
				names[name] = d.Remaining
			}
			if !slices.Contains(policies, name) {
				policies = append(policies, name)
			}
			limits, err := parseList(h.Get("RateLimit"))
			if err != nil || len(limits) != len(names) {
				t.Fatalf("%v: %v, but %v", err, limits, names)
			}
			for n, l := range limits {
				if l.params["r"] != names[l.value] {
					t.Fatalf("%v: %d left of %q", limits, names[l.value], l.value)
				}
				if d.Allowed && n > 0 && i == 0 {
					t.Fatalf("%v", limits)
				}
			}
			if !d.Allowed && limits[0].value != name {
				t.Fatalf("%v: %q has refused", limits, name)
			}
			listed, err := parseList(h.Get("RateLimit-Policy"))
			if err != nil || len(listed) != len(policies) {
				t.Fatalf("%v: %v, but %v", err, listed, policies)
			}
		}
	})
}

// splitList puts each item of the lists on a line of its own.
func splitList(lines []string) []string {
	var split []string
	for _, line := range lines {
		items, err := parseList(line)
		if err != nil {
			return lines
		}
		for _, it := range items {
			text := `"` + strings.ReplaceAll(strings.ReplaceAll(it.value, `\`, `\\`), `"`, `\"`) + `"`
			for _, key := range []string{"q", "r", "w", "t"} {
				if v, ok := it.params[key]; ok {
					text += ";" + key + "=" + strconv.FormatInt(v, 10)
				}
			}
			split = append(split, text)
		}
	}
	return split
}

// What others have set there is kept if it is such a list, and only then.
func TestForeignLists(t *testing.T) {
	rule := bucket.MustRule("rule", "5/minute")
	d := bucket.Decision{Allowed: true, Limit: rule.Limits()[0], Remaining: 2, ResetAfter: 36e9}
	const ours = `"5 per 1 minute";r=2;t=12`
	for had, want := range map[string]string{
		`"gateway";r=1;t=1`:                     `"gateway";r=1;t=1, ` + ours,
		`"gateway";r=7;pk=:YQ==:`:               ours + `, "gateway";r=7;pk=:YQ==:`,
		`"gateway";x="a,b";r=1 , "other";r=9`:   `"gateway";x="a,b";r=1, ` + ours + `, "other";r=9`,
		`"gateway"`:                             ours + `, "gateway"`,
		`"gateway";r=many`:                      ours + `, "gateway";r=many`,
		`limit=10, remaining=5, reset=3`:        ours,
		`"gateway";r=1, token;r=2`:              ours,
		`"open`:                                 ours,
		`"a";r=1,`:                              ours,
		``:                                      ours,
		`"gateway";x="open;r=1`:                 ours,
		`"5 per 1 minute";r=1;t=1`:              `"5 per 1 minute";r=1;t=1`,
		`"a \"quoted\" name";r=0, "back\\";r=3`: `"a \"quoted\" name";r=0, ` + ours + `, "back\\";r=3`,
	} {
		h := http.Header{"Ratelimit": {had}}
		if httpmw.SetHeaders(h, rule, d); h.Get("RateLimit") != want {
			t.Errorf("%s: got  %s\nwant %s", had, h.Get("RateLimit"), want)
		}
	}
}

// In the older forms there is place for one limit.
func TestStackedInOlderForms(t *testing.T) {
	m := newMemory()
	a := httpmw.Answers{Draft: httpmw.Draft7, X: httpmw.XRateLimit()}
	wide := mustLimit(t, m, bucket.MustRule("wide", "3/minute"), everybody, httpmw.Answer(a))
	narrow := mustLimit(t, m, bucket.MustRule("narrow", "5/minute; 7/hour"), theUser, httpmw.Answer(a))
	for i, x := range []struct {
		user   string
		status int
		limit  string
		x      string
	}{
		{"a", 200, "limit=3, remaining=2, reset=20", "2 of 3"},
		{"a", 200, "limit=3, remaining=1, reset=40", "1 of 3"},
		{"a", 200, "limit=3, remaining=0, reset=60", "0 of 3"},
	} {
		w := send(wide(narrow(silent())), "GET", "/", "X-User", x.user)
		h := w.Header()
		if got := fmt.Sprintf("%s of %s", h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Limit")); w.Code != x.status || h.Get("RateLimit") != x.limit || got != x.x ||
			h.Get("RateLimit-Policy") != "3;w=60, 5;w=60, 7;w=3600" {
			t.Errorf("request %d: got %d %v", i, w.Code, h)
		}
	}
	w := send(narrow(wide(silent())), "GET", "/", "X-User", "a") // the inner one refuses, whatever is left of the outer
	if h := w.Header(); w.Code != 429 || h.Get("RateLimit") != "limit=3, remaining=0, reset=60" || h.Get("X-RateLimit-Limit") != "3" || h.Get("Retry-After") != "20" {
		t.Errorf("got %d %v", w.Code, h)
	}
}
