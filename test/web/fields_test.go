package web

import (
	"net/http"
	"testing"

	"github.com/dunglas/httpsfv"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// Other people's readers of structured fields (RFC 9651) read what the middleware
// writes, whatever the limits are called.
func TestFieldsAreStructured(t *testing.T) {
	limits := []bucket.Limit{
		{Count: 5, Per: 1e9}, {Count: 100, Per: 3600e9, Algorithm: bucket.FixedWindow},
		{Name: `a "quoted" \ name; q=1, w=2`, Count: 1 << 40, Per: 1e9, Algorithm: bucket.LeakyBucket},
		{Name: "monthly", Count: 7, Per: bucket.Month, Algorithm: bucket.FixedWindow, Calendar: true, Zone: "Europe/Berlin"},
	}
	several, err := bucket.NewRule("several", limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []*bucket.Rule{several, bucket.MustRule("slow", "2 concurrent"), bucket.MustRule("log", "3/minute log; penalty 2/hour")} {
		h := http.Header{}
		httpmw.SetHeaders(h, rule, bucket.Decision{Limit: rule.Limits()[0], Remaining: 3, RetryAfter: 1500e6, ResetAfter: 5e9})
		policies := items(t, h["Ratelimit-Policy"])
		if len(policies) != len(rule.Limits()) {
			t.Errorf("%v: %d policies for %d limits", rule, len(policies), len(rule.Limits()))
		}
		for i, l := range rule.Limits() {
			if quota, _ := policies[i].Params.Get("q"); policies[i].Value != l.String() || quota != l.Count {
				t.Errorf("%v is said to be %v with a quota of %v", l, policies[i].Value, quota)
			}
		}
		now := items(t, h["Ratelimit"])
		if left, _ := now[0].Params.Get("r"); len(now) != 1 || now[0].Value != rule.Limits()[0].String() || left != int64(3) {
			t.Errorf("%v: %v left of %v", rule, left, now[0].Value)
		}
	}
}

// items reads a list of items.
func items(t *testing.T, values []string) (items []httpsfv.Item) {
	t.Helper()
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) == 0 {
		t.Fatalf("%q: %v", values, err)
	}
	for _, member := range list {
		items = append(items, member.(httpsfv.Item))
	}
	return items
}
