package httpmw_test

import (
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

const maxInteger = 999_999_999_999_999

func TestSetHeaders(t *testing.T) {
	minute := bucket.Limit{Count: 10, Per: time.Minute}
	named := bucket.Limit{Name: "per day", Count: 100, Per: 24 * time.Hour}
	rule := newRule(t, minute, named)
	for _, c := range []struct {
		name         string
		decision     bucket.Decision
		limit, retry string
	}{
		{"allowed", bucket.Decision{Allowed: true, Limit: minute, Remaining: 9, ResetAfter: 6e9}, `"10 per 1 minute";r=9;t=6`, ""},
		{"allowed by the second", bucket.Decision{Allowed: true, Limit: named, Remaining: 9, ResetAfter: 6e9}, `"per day";r=9;t=6`, ""},
		{"nothing was taken", bucket.Decision{Allowed: true, Limit: minute, Remaining: 10}, `"10 per 1 minute";r=10;t=0`, ""},
		{"allowed, and never whole", bucket.Decision{Allowed: true, Limit: minute, Remaining: 9, ResetAfter: bucket.Never}, `"10 per 1 minute";r=9`, ""},
		{"refused", bucket.Decision{Limit: minute, Remaining: 2, RetryAfter: 6e9 + 1, ResetAfter: 50e9}, `"10 per 1 minute";r=2;t=7`, "7"},
		{"refused for a nanosecond", bucket.Decision{Limit: minute, RetryAfter: 1, ResetAfter: 1}, `"10 per 1 minute";r=0;t=1`, "1"},
		{"refused for who knows how long", bucket.Decision{Limit: minute}, `"10 per 1 minute";r=0`, ""},
		{"refused for ever", bucket.Decision{Limit: named, Remaining: 2, RetryAfter: bucket.Never, ResetAfter: 50e9}, `"per day";r=2`, ""},
		{"refused for nearly ever", bucket.Decision{Limit: named, RetryAfter: bucket.Never - 1}, `"per day";r=0;t=9223372037`, "9223372037"},
		{"degraded", bucket.Decision{Limit: minute, RetryAfter: time.Second, Degraded: true}, `"10 per 1 minute";r=0;t=1`, "1"},
		{"a limit of another rule", bucket.Decision{Limit: bucket.Limit{Name: `"`, Count: 1, Per: 1}, RetryAfter: 1}, `"\"";r=0;t=1`, "1"},
		{"capped", bucket.Decision{Allowed: true, Limit: minute, Remaining: math.MaxInt64}, `"10 per 1 minute";r=999999999999999;t=0`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"Ratelimit": {"old", "older"}, "Ratelimit-Policy": {"old"}, "X-Other": {"kept"}}
			want := http.Header{
				"Ratelimit":        {c.limit},
				"Ratelimit-Policy": {`"10 per 1 minute";q=10;w=60, "per day";q=100;w=86400`},
				"X-Other":          {"kept"},
			}
			if c.retry != "" {
				want["Retry-After"] = []string{c.retry}
			}
			if httpmw.SetHeaders(h, rule, c.decision); !reflect.DeepEqual(h, want) {
				t.Errorf("got  %v\nwant %v", h, want)
			}
			checkFields(t, h)
		})
	}
}

// checkFields wants headers that a strict client reads.
func checkFields(t tester, h http.Header) (policies []item, limit item) {
	t.Helper()
	policies, err := parseList(h.Get("RateLimit-Policy"))
	if err != nil {
		t.Fatalf("RateLimit-Policy: %v", err)
	}
	for _, p := range policies {
		if q, ok := p.params["q"]; !ok || q < 0 || p.params["w"] < 1 || len(p.params) != 2 {
			t.Fatalf("RateLimit-Policy: %v", p)
		}
	}
	limits, err := parseList(h.Get("RateLimit"))
	if err != nil || len(limits) != 1 {
		t.Fatalf("RateLimit: %v, %v", limits, err)
	}
	wait, hasWait := limits[0].params["t"]
	if r, ok := limits[0].params["r"]; !ok || r < 0 || wait < 0 || len(limits[0].params) > 2 {
		t.Fatalf("RateLimit: %v", limits[0])
	}
	if after := h.Get("Retry-After"); after != "" && (!hasWait || after != strconv.FormatInt(wait, 10)) {
		t.Fatalf("Retry-After: %s, but %v", after, limits[0])
	}
	return policies, limits[0]
}

// TestFieldsSayWhatWasDecided reads the headers of any rule and decision back.
func TestFieldsSayWhatWasDecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t)
		d := bucket.Decision{
			Allowed:    rapid.Bool().Draw(t, "allowed"),
			Limit:      rapid.SampledFrom(rule.Limits()).Draw(t, "limit"),
			Remaining:  drawCount(t, "remaining"),
			RetryAfter: drawWait(t, "retry after"),
			ResetAfter: drawWait(t, "reset after"),
		}
		h := http.Header{}
		httpmw.SetHeaders(h, rule, d)

		policies, limit := checkFields(t, h)
		if len(policies) != len(rule.Limits()) {
			t.Fatalf("%d policies of %d limits: %v", len(policies), len(rule.Limits()), h)
		}
		for i, l := range rule.Limits() {
			p := policies[i]
			if p.value != shown(l) || p.params["q"] != min(l.Count, maxInteger) || !roundsUp(p.params["w"], l.Per) {
				t.Fatalf("%+v is shown as %v", l, p)
			}
		}
		more, known := d.ResetAfter, d.ResetAfter != bucket.Never
		if !d.Allowed {
			more, known = d.RetryAfter, d.RetryAfter != bucket.Never && d.RetryAfter != 0
		}
		wait, hasWait := limit.params["t"]
		if limit.value != shown(d.Limit) || limit.params["r"] != min(d.Remaining, maxInteger) ||
			hasWait != known || hasWait && !d.Allowed && !roundsUp(wait, more) || hasWait && time.Duration(wait-1)*time.Second >= max(more, 1) {
			t.Fatalf("%+v is shown as %v", d, limit)
		}
		if after := h.Get("Retry-After"); (after != "") != (!d.Allowed && known) {
			t.Fatalf("%+v has Retry-After %q", d, after)
		}
	})
}

// roundsUp says whether s seconds are d, rounded up.
func roundsUp(s int64, d time.Duration) bool {
	whole, part := int64(d/time.Second), d%time.Second
	return part == 0 && s == whole || part > 0 && s == whole+1
}

func drawRule(t *rapid.T) *bucket.Rule {
	limits := make([]bucket.Limit, rapid.IntRange(1, bucket.MaxLimits).Draw(t, "limits"))
	var names []string
	for i := range limits {
		limits[i] = bucket.Limit{
			Name:  drawName(t),
			Count: drawCount(t, "count"),
			Per:   max(drawWait(t, "per"), 1),
		}
		if limits[i].Count > 0 {
			limits[i].Burst = 1 // whatever the window, it is back in time
			limits[i].Per = min(limits[i].Per, 1<<62)
		}
		if slices.Contains(names, limits[i].Name) {
			limits[i].Name = ""
		}
		names = append(names, limits[i].Name)
	}
	return newRule(t, limits...)
}

// drawName draws printable ASCII, with more to be escaped than is usual.
func drawName(t *rapid.T) string {
	char := rapid.OneOf(rapid.ByteRange(' ', '~'), rapid.SampledFrom([]byte(`"\,;= `)))
	return string(rapid.SliceOfN(char, 0, 64).Draw(t, "name"))
}

func drawCount(t *rapid.T, label string) int64 {
	return rapid.OneOf(
		rapid.Int64Range(0, 1000),
		rapid.SampledFrom([]int64{maxInteger - 1, maxInteger, maxInteger + 1, math.MaxInt64}),
		rapid.Int64Range(0, math.MaxInt64),
	).Draw(t, label)
}

func drawWait(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(
		rapid.Int64Range(0, 1e12),
		rapid.SampledFrom([]int64{0, 1, 1e3, 1e6, 1e9 - 1, 1e9, 1e9 + 1, math.MaxInt64 - 1, math.MaxInt64}),
		rapid.Int64Range(0, math.MaxInt64),
	).Draw(t, label))
}

// TestEveryWindowHasAnASCIIName tries the units in which windows are written.
func TestEveryWindowHasAnASCIIName(t *testing.T) {
	for _, per := range []time.Duration{1, 999, 1e3, 1500, 999_999, 1e6, 1_000_001, 1e9 - 1, 1e9, 1e9 + 1, 1e9 + 1e3, 60e9, 90e9, 3600e9, 86400e9, math.MaxInt64} {
		h := http.Header{}
		rule := newRule(t, bucket.Limit{Count: 0, Per: per})
		httpmw.SetHeaders(h, rule, bucket.Decision{Limit: rule.Limits()[0]})
		if policies, limit := checkFields(t, h); !strings.HasPrefix(limit.value, "0 per ") || policies[0].value != limit.value {
			t.Errorf("%v: %v", per, h)
		}
	}
}
