package bucket_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

func TestPenaltySteps(t *testing.T) {
	const s, m = time.Second, time.Minute
	for name, c := range map[string]struct {
		limits string
		steps  []step
		by     []int // of each step, the place of the limit that answers; penalties last
	}{
		"after three refusals in an hour, nothing for the hour": {"2/second; penalty 3/hour fixed", []step{
			{0, 2, yes, 0, 0, s},
			{0, 1, no, 0, s / 2, s},
			{0, 1, no, 0, s / 2, s},
			{m, 3, no, 0, 59 * m, 59 * m}, // the third: the first in its place would be told never
			{m, 1, no, 0, 59 * m, 59 * m},
			{60*m - 1, 1, no, 0, 1, 1},
			{60 * m, 1, yes, 1, 0, s / 2},
		}, []int{0, 0, 0, 1, 1, 1, 0}},
		"one comes back at a time": {"1/second; penalty 2/minute", []step{
			{0, 1, yes, 0, 0, s},
			{0, 1, no, 0, s, s},
			{0, 1, no, 0, 30 * s, 60 * s},
			{29 * s, 0, no, 0, s, 31 * s},
			{30 * s, 1, yes, 0, 0, s},
			{30 * s, 1, no, 0, 30 * s, 60 * s},
		}, []int{0, 0, 1, 1, 0, 1}},
		"what the penalty refuses doesn't prolong it": {"1/second; penalty 1/10 seconds", []step{
			{0, 1, yes, 0, 0, s},
			{0, 1, no, 0, 10 * s, 10 * s},
			{5 * s, 1, no, 0, 5 * s, 5 * s},
			{5 * s, 1, no, 0, 5 * s, 5 * s},
			{10 * s, 1, yes, 0, 0, s},
		}, []int{0, 1, 1, 1, 0}},
		"a log of refusals": {"1/second; penalty 2/minute log", []step{
			{0, 1, yes, 0, 0, s},
			{0, 1, no, 0, s, s},
			{s / 2, 1, no, 0, 119 * s / 2, 60 * s}, // until the first isn't counted any more
			{30 * s, 1, no, 0, 30 * s, 61 * s / 2},
			{60*s - 1, 1, no, 0, 1, s/2 + 1},
			{60 * s, 1, yes, 0, 0, s},
			{60 * s, 1, no, 0, s, s},
		}, []int{0, 0, 1, 1, 1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			store, rule := newStore(), bucket.MustRule("r", c.limits)
			all := append(rule.Limits(), rule.Penalties()...)
			for i, s := range c.steps {
				want := bucket.Decision{Allowed: s.allowed, Limit: all[c.by[i]], Remaining: s.remaining, RetryAfter: s.retry, ResetAfter: s.reset}
				if s.n > rule.Capacity() {
					want.Limit, want.Remaining, want.RetryAfter, want.ResetAfter = all[0], rule.Capacity(), never, 0
				}
				if got := bare(store.Take(rule, "key", s.n, int64(s.at))); got != want {
					t.Errorf("step %d:\n got %+v\nwant %+v", i, got, want)
				}
			}
		})
	}
}

// Whatever is refused would pass after RetryAfter, and not before.
func TestWaitingRetryAfterAdmitsUnderPenalties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawPenalized(t)
		now, _ := walk(t, store, rule, "key")
		n := drawTokens(t, rule)
		d := store.Take(rule, "key", n, now)
		wait := int64(d.RetryAfter)
		if d.Allowed || d.RetryAfter == never || wait > maxTime-now {
			return
		}
		if early := store.Peek(rule, "key", n, now+wait-1); early.Allowed {
			t.Fatalf("%v: %d tokens, told %+v; a nanosecond early: %+v", rule, n, d, early)
		}
		if due := store.Peek(rule, "key", n, now+wait); !due.Allowed {
			t.Fatalf("%v: %d tokens, told %+v; after waiting: %+v", rule, n, d, due)
		}
	})
}

// A penalty is charged by what others refuse, once each, and by nothing else.
func TestPenaltiesCountRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawPlain(t)
		l.Name = "tight"
		rule, err := bucket.NewRule("r", []bucket.Limit{l}, bucket.WithPenalty(bucket.Limit{Name: "p", Count: 5, Per: 1 << 60, Algorithm: bucket.FixedWindow}))
		if err != nil {
			t.Fatal(err)
		}
		store, now, refused := newStore(), int64(0), int64(0)
		for range 30 {
			n := drawTokens(t, rule)
			switch d := store.Take(rule, "key", n, now); {
			case refused == 5:
				if d.Allowed {
					t.Fatalf("allowed after 5 refusals: %+v", d)
				}
			case !d.Allowed:
				refused++
			case n > 0:
				store.Refund(rule, "key", d.Receipt, now)
			}
			now = min(drawLater(t, rule, now), 1<<59)
		}
		// One more is refused by the penalty exactly if there were five.
		whole := bucket.MustRule("r", "tight = 9223372036854775807/second; penalty p = 5 per 1 day fixed")
		if d := store.Peek(whole, "key", 0, now); d.Allowed != (refused < 5) {
			t.Fatalf("after %d refusals: %+v", refused, d)
		}
	})
}

func TestPenalize(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "5/second; penalty 10/hour; penalty 100/day")
	d := store.Digest(rule, "key")
	for i, n := range []int64{4, 0, -3, 5} {
		if store.Penalize(nil, rule, d, n, 0); !store.PeekDigest(rule, d, 1, 0).Allowed {
			t.Fatalf("step %d refuses", i)
		}
	}
	store.Penalize(nil, rule, d, 1<<62, 0)
	if v := store.PeekDigest(rule, d, 1, 0); v.Allowed || v.Limit != 2 || v.RetryAfter != 864*time.Second {
		t.Errorf("%+v", v)
	}
}

func TestPenaltiesOfARule(t *testing.T) {
	p := bucket.Limit{Name: "p", Count: 2, Per: time.Hour}
	limit := bucket.Limit{Count: 5, Per: time.Second}
	r, err := bucket.NewRule("r", []bucket.Limit{limit}, bucket.WithPenalty(p), bucket.WithPenalty(per(1, day)))
	if err != nil || !slices.Equal(r.Limits(), []bucket.Limit{limit}) || !slices.Equal(r.Penalties(), []bucket.Limit{p, per(1, day)}) || r.Capacity() != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range []struct {
		limits int
		opts   []bucket.RuleOption
		says   string
	}{
		{0, []bucket.RuleOption{bucket.WithPenalty(p)}, "0 limits"},
		{8, []bucket.RuleOption{bucket.WithPenalty(p)}, "9 limits"},
		{1, []bucket.RuleOption{bucket.WithPenalty(per(0, day))}, "limit 2: field Count is 0"},
		{1, []bucket.RuleOption{bucket.WithPenalty(p), bucket.WithPenalty(p)}, `both named "p"`},
	} {
		_, err := bucket.NewRule("r", slices.Repeat([]bucket.Limit{limit}, c.limits), c.opts...)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "a rule has 1 to 8", ""), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The owner knows a rule by its encoding alone.
func TestDecodedPenalties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawPenalized(t)
		decoded := decode(t, encode(t, rule))
		if !bytes.Equal(encode(t, decoded), encode(t, rule)) || len(decoded.Penalties()) != len(rule.Penalties()) || !decoded.Equivalent(rule) {
			t.Fatalf("%v became %v", rule, decoded)
		}
		home, owner := newStore(), newStore()
		d, now := home.Digest(rule, "key"), int64(0)
		var last bucket.Receipt
		for range 20 {
			n := drawTokens(t, rule)
			got, want := owner.TakeDigest(decoded, d, n, now), home.TakeDigest(rule, d, n, now)
			if got != want {
				t.Fatalf("%v: %d tokens at %d: decided %+v, originally %+v", rule, n, now, got, want)
			}
			if rapid.Bool().Draw(t, "refund") && owner.RefundDigest(decoded, d, last, now) != home.RefundDigest(rule, d, last, now) {
				t.Fatalf("%v: refunds differ", rule)
			}
			now, last = drawLater(t, rule, now), want.Receipt
		}
		copied, n := home.AppendCopy(nil, int(d.Hi>>52), now)
		heir := newStore()
		if err := heir.Merge(int(d.Hi>>52), copied, now); err != nil || heir.Len() != n {
			t.Fatalf("%v: merged %d of %d, %v", rule, heir.Len(), n, err)
		}
		if got, want := heir.PeekDigest(rule, d, 0, now), home.PeekDigest(rule, d, 0, now); got != want {
			t.Fatalf("%v: the heir says %+v, the giver %+v", rule, got, want)
		}
	})
}

func TestDecodeRuleRefusesPenalties(t *testing.T) {
	one := encode(t, bucket.MustRule("r", "1/hour"))
	both := encode(t, bucket.MustRule("r", "1/hour; penalty 1/day"))
	penalty := both[len(one):]
	zero := slices.Clone(both)
	zero[len(one)+17], zero[len(one)+33] = 0, 0
	for name, b := range map[string][]byte{
		"alone": penalty, "before": append(slices.Clone(penalty), one...), "of nothing": zero,
	} {
		if r, err := bucket.DecodeRule(b); err == nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}
