package bucket_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func TestConcurrentRules(t *testing.T) {
	var rule bucket.Rule
	const text = "uploads: 2 concurrent; policy deny; mode shadow"
	if err := rule.Set(text); err != nil || rule.String() != text {
		t.Fatalf("%v became %v, %v", text, rule.String(), err)
	}
	want := bucket.Limit{Algorithm: bucket.Concurrent, Count: 2}
	if limit, ok := rule.Concurrent(); limit != 2 || !ok || rule.Limits()[0] != want || rule.Capacity() != 2 {
		t.Errorf("%v says %d, %v", rule.String(), limit, ok)
	}
	if limit, ok := bucket.MustRule("r", "9 /day; 5/second").Concurrent(); limit != 0 || ok {
		t.Errorf("a rate is %d at a time", limit)
	}
	if limit, ok := new(bucket.Rule).Concurrent(); limit != 0 || ok {
		t.Errorf("nothing is %d at a time", limit)
	}
	if named := bucket.MustRule("r", "slots=2CONCURRENT"); named.String() != "r: slots = 2 concurrent" {
		t.Errorf("got %v", named)
	}
}

func TestConcurrentStandsAlone(t *testing.T) {
	for text, says := range map[string]string{
		"2 concurrent; 5/second":         "limit 1: field Algorithm is Concurrent, which stands alone",
		"5/second; 2 concurrent":         "limit 2: field Algorithm is Concurrent",
		"2 concurrent; 3 concurrent":     "stands alone",
		"2 concurrent; penalty 5/minute": "stands alone",
		"5/second; penalty 2 concurrent": "limit 2: field Algorithm is Concurrent",
		"2 concurrent burst 3":           "unexpected",
		"2 concurrently":                 "unexpected",
		"5/second concurrent":            "unexpected",
		"2 at a time":                    "expected /, per or concurrent",
	} {
		if r, err := bucket.ParseRule("r", text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	wrong := bucket.Limit{Algorithm: bucket.Concurrent, Count: -1, Per: time.Second, Burst: 3, Zone: "UTC"}
	_, err := bucket.NewRule("r", []bucket.Limit{wrong})
	for _, says := range []string{"field Count is -1", "field Per is 1s", "field Burst is 3", "fields Aligned, Calendar and Zone"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v doesn't say %s", err, says)
		}
	}
}

// Whoever asks a store about a rule that no store decides is refused for ever.
func TestNoStoreDecidesConcurrentRules(t *testing.T) {
	rule, store := bucket.MustRule("r", "2 concurrent"), newStore()
	d := store.Digest(rule, "key")
	want := bucket.Decision{Limit: rule.Limits()[0], RetryAfter: never}
	for _, n := range []int64{0, 1, 3} {
		for _, replicas := range []int{1, 3} {
			got := []bucket.Decision{
				store.Take(rule, "key", n, 5), store.Peek(rule, "key", n, 5),
				rule.Decision(store.TakeShare(rule, d, n, 5, replicas)), rule.Decision(store.PeekShare(rule, d, n, 5, replicas)),
			}
			for i, d := range got {
				if d != want {
					t.Errorf("%d tokens, %d: %+v", n, i, d)
				}
			}
		}
	}
	if store.Reset(rule, "key", 5) || store.Refund(rule, "key", bucket.Receipt{}, 5) || store.Len() != 0 {
		t.Errorf("something is kept: %d", store.Len())
	}
	b := encode(t, rule)
	if r, err := bucket.DecodeRule(b); err == nil || !strings.Contains(err.Error(), "no store decides") {
		t.Errorf("%x is %v, %v", b, r, err)
	}
	if rule.Equivalent(bucket.MustRule("r", "3 concurrent")) {
		t.Error("2 and 3 at a time are the same")
	}
	// A limit of the same name may have been another before.
	store.Take(bucket.MustRule("r", "a=5/hour"), "key", 1, 5)
	if d := store.Take(bucket.MustRule("r", "a=2 concurrent"), "key", 1, 5); d.Allowed || d.RetryAfter != never {
		t.Errorf("%+v", d)
	}
	if d := store.Take(bucket.MustRule("r", "a=5/hour"), "key", 1, 5); d.Remaining != 3 {
		t.Errorf("what was taken is forgotten: %+v", d)
	}
}
