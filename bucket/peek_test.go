package bucket_test

import (
	"math"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// drawPenalized draws a rule with penalties.
func drawPenalized(t *rapid.T, l ...bucket.Limit) *bucket.Rule {
	var opts []bucket.RuleOption
	for range rapid.IntRange(0, 2).Draw(t, "penalties") {
		opts = append(opts, bucket.WithPenalty(drawPlain(t)))
	}
	for range rapid.IntRange(1, 3).Draw(t, "limits") {
		l = append(l, drawPlain(t))
	}
	r, err := bucket.NewRule("r", l, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whoever peeks learns what Take would say, and a store that is peeked into can't
// be told from one that isn't.
func TestPeekIsTakeWithoutTaking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peeked, calm := newStore(), newStore()
		rules := []*bucket.Rule{drawPenalized(t), drawPenalized(t)} // of one name: with changes
		now := int64(0)
		for range 30 {
			rule := rapid.SampledFrom(rules).Draw(t, "rule")
			now = drawLater(t, rule, now)
			n := drawTokens(t, rule)
			for _, r := range rules {
				peeked.Peek(r, "key", rapid.Int64Range(-1, 5).Draw(t, "peek"), now)
				peeked.Peek(r, "nobody", 1, now)
			}
			want := peeked.Peek(rule, "key", n, now)
			got, plain := peeked.Take(rule, "key", n, now), calm.Take(rule, "key", n, now)
			if got != plain || bare(got) != want || peeked.Len() != calm.Len() {
				t.Fatalf("%v: %d tokens at %d: peeked %+v, took %+v, without peeking %+v", rule, n, now, want, got, plain)
			}
		}
	})
}

func TestPeekAllocatesNothing(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "5/second; 100/hour; 3/hour log; penalty 20/hour")
	store.Take(rule, "key", 1, 0)
	other := bucket.MustRule("r", "6/second; 100/day; 2/minute log; penalty 2/hour")
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		now++
		store.Peek(rule, "key", 1, now)
		store.Peek(other, "key", 1, now)
		store.Peek(rule, "nobody", 1, now)
	}); n != 0 || store.Len() != 3 {
		t.Errorf("%v allocations, and %d entries", n, store.Len())
	}
}

// What there is no room for is refused by Peek as it is by Take.
func TestPeekKnowsWhenTheNumbersAreFull(t *testing.T) {
	store := bucket.NewStore(bucket.StoreConfig{MaxLimits: 2})
	store.Take(bucket.MustRule("a", "1/day"), "key", 1, 0)
	for i, limits := range []string{"2/day; 2/day fixed", "2/day", "1/day", "2/day; 3/day"} {
		rule := bucket.MustRule("a", limits)
		want := store.Peek(rule, limits, 1, 0)
		if got := bare(store.Take(rule, limits, 1, 0)); got != want || got.Degraded != (i == 0 || i == 3) {
			t.Errorf("%s: peeked %+v, took %+v", limits, want, got)
		}
	}
}

func TestCostsBeyondReason(t *testing.T) {
	for _, limits := range []string{"10/hour", "10/hour leaky", "10/hour fixed", "10/hour sliding", "9223372036854775807/hour", "9223372036854775807/hour fixed"} {
		store, rule := newStore(), bucket.MustRule("r", limits)
		capacity := rule.Capacity()
		store.Take(rule, "key", capacity-1, 0)
		for _, n := range []int64{2, 11, math.MaxInt64 - 1, math.MaxInt64, math.MinInt64, -1} {
			d := store.Take(rule, "key", n, 0)
			if d.Allowed || (d.RetryAfter == never) != (n > capacity || n < 0) {
				t.Errorf("%s: %d tokens: %+v", limits, n, d)
			}
			if p := store.Peek(rule, "key", n, 0); p != d {
				t.Errorf("%s: %d tokens: peeked %+v", limits, n, p)
			}
		}
		if d := store.Take(rule, "key", 1, 0); !d.Allowed || d.Remaining != 0 {
			t.Errorf("%s: the last token: %+v", limits, d)
		}
	}
}

func TestNothingIsDoneForOneThatDoesntHold(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "10/hour; penalty 5/hour")
	d := store.Digest(rule, "key")
	v := store.TakeDigest(rule, d, 4, 1)
	store.TakeDigest(rule, d, 7, 1) // one refusal
	var held atomic.Int64
	for _, want := range []bool{false, true} {
		if want {
			held.Store(1)
		}
		if p, ok := store.PeekHeld(&held, rule, d, 1, 1, 1); ok != want || want != (p.Remaining == 5) {
			t.Errorf("peek: %+v, %v", p, ok)
		}
		if ok := store.Penalize(&held, rule, d, 1, 1); ok != want {
			t.Errorf("penalize: %v", ok)
		}
		if credited, ok := store.RefundHeld(&held, rule, d, v.Receipt, 1); ok != want || credited != want {
			t.Errorf("refund: %v, %v", credited, ok)
		}
		if found, ok := store.ResetHeld(&held, rule, d, 1); ok != want || found != want {
			t.Errorf("reset: %v, %v", found, ok)
		}
	}
}
