package bucket_test

import (
	"encoding/json"
	"flag"
	"strings"
	"sync"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

var _ flag.Value = (*bucket.Mode)(nil)

func TestShadowLetsEverythingPass(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "2/hour leaky; penalty 9/day", bucket.WithMode(bucket.Shadow))
	enforced := bucket.MustRule("r", "2/hour leaky; penalty 9/day")
	for i := range 4 {
		want := store.Peek(enforced, "key", 1, 0)
		d := store.Take(rule, "key", 1, 0)
		if !d.Allowed || d.WouldRefuse != !want.Allowed || d.Delay != 0 || d.RetryAfter != want.RetryAfter || d.Remaining != want.Remaining {
			t.Errorf("hit %d: %+v, enforced %+v", i+1, d, want)
		}
	}
}

func TestOffNeitherDecidesNorCounts(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "2/hour; 1/day; 0/day")
	store.Take(rule, "key", 1, 0)
	if err := rule.SetMode(bucket.Off); err != nil || rule.Mode() != bucket.Off {
		t.Fatal(err)
	}
	want := bucket.Decision{Allowed: true, Limit: rule.Limits()[2]}
	for range 3 {
		if d := store.Take(rule, "key", 1, 0); d != want {
			t.Errorf("%+v", d)
		}
		if d := store.Peek(rule, "key", 1, 0); d != want {
			t.Errorf("peeked %+v", d)
		}
	}
	if store.Len() != 0 {
		t.Errorf("%d entries", store.Len())
	}
	rule = bucket.MustRule("r", "2/hour; 1/day; penalty 1/hour; mode off")
	if d := rule.Decision(bucket.Verdict{}); !d.Allowed || d.Remaining != 1 || d.Limit != rule.Limits()[1] {
		t.Errorf("%+v", d)
	}
}

func TestModesChangeWhileRunning(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "1/hour")
	var hits sync.WaitGroup
	for range 4 {
		hits.Go(func() {
			for range 1000 {
				if d := store.Take(rule, "key", 1, 0); d.WouldRefuse && !d.Allowed {
					t.Errorf("%+v", d)
				}
			}
		})
	}
	copied := *rule
	for i := range 1000 {
		if err := copied.SetMode(bucket.Mode(i % 3)); err != nil {
			t.Error(err)
		}
	}
	hits.Wait()
	if copied.Mode() != rule.Mode() {
		t.Errorf("a copy is in mode %v, the rule in %v", copied.Mode(), rule.Mode())
	}
}

func TestModesThatAreNone(t *testing.T) {
	rule := bucket.MustRule("r", "1/hour")
	if err := rule.SetMode(3); err == nil || rule.Mode() != bucket.Enforce {
		t.Errorf("%v, %v", err, rule.Mode())
	}
	if _, err := bucket.NewRule("r", rule.Limits(), bucket.WithMode(7)); err == nil || !strings.Contains(err.Error(), "unknown mode 7; choose") {
		t.Errorf("%v", err)
	}
	var zero bucket.Rule
	if err := zero.SetMode(bucket.Off); err == nil || zero.Mode() != bucket.Enforce {
		t.Errorf("%v, %v", err, zero.Mode())
	}
	if _, err := bucket.Mode(9).MarshalText(); err == nil || bucket.Mode(9).String() != "mode 9" {
		t.Error(err)
	}
}

func TestModesAsText(t *testing.T) {
	var got struct{ Mode bucket.Mode }
	for _, m := range []bucket.Mode{bucket.Enforce, bucket.Shadow, bucket.Off} {
		text, err := json.Marshal(map[string]bucket.Mode{"mode": m})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &got); err != nil || got.Mode != m {
			t.Errorf("%s became %v, %v", text, got.Mode, err)
		}
	}
	if err := got.Mode.Set("on"); err == nil || got.Mode != bucket.Off {
		t.Errorf("%v, %v", got.Mode, err)
	}
}
