package bucket_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// change is a hit that brings other numbers than the one before it.
type change struct {
	limits    string
	n         int64
	allowed   bool
	remaining int64
}

func TestChangedNumbersKeepWhatWasConsumed(t *testing.T) {
	for name, story := range map[string][]change{
		"lowered and raised again": {
			{"20/minute", 10, yes, 10},
			{"10/minute", 0, yes, 0},
			{"10/minute", 1, no, 0},
			{"20/minute", 0, yes, 10},
			{"20/minute", 10, yes, 0},
		},
		"a rolling deploy": {
			{"20/minute", 5, yes, 15},
			{"10/minute", 1, yes, 4},
			{"20/minute", 1, yes, 13},
			{"10/minute", 1, yes, 2},
			{"20/minute", 1, yes, 11},
			{"10/minute", 2, no, 1},
			{"10/minute", 1, yes, 0},
		},
		"another window": {
			{"7/second", 3, yes, 4},
			{"100/hour", 7, yes, 90},
			{"7/second", 1, no, 0},
			{"11/second", 1, yes, 0},
		},
		"switched off and on": {
			{"5/hour", 3, yes, 2},
			{"0/hour", 1, no, 0},
			{"0/hour", 0, no, 0},
			{"5/hour", 1, yes, 1},
		},
		"more than the new limit will ever have": {
			{"9000000000000000000/second", 8_000_000_000_000_000_000, yes, 1_000_000_000_000_000_000},
			{"1/2 years", 1, no, 0},
			{"9000000000000000000/second", 0, yes, 1_000_000_000_000_000_000},
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore()
			for i, c := range story {
				d := store.Take(bucket.MustRule("r", c.limits), "key", c.n, 0)
				if d.Allowed != c.allowed || d.Remaining != c.remaining {
					t.Errorf("step %d: %+v: got %+v", i, c, d)
				}
			}
		})
	}
}

// At one moment, what counts is how many tokens were taken: the numbers may
// change as they like.
func TestChangesAtOneMomentAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := newStore()
		numbers := []bucket.Limit{drawAnyLimit(t), drawAnyLimit(t), drawAnyLimit(t), {Count: 0, Per: 1}}
		for i := range numbers {
			numbers[i].Name = "whatever its algorithm"
		}
		now := rapid.Int64Range(0, 1<<60).Draw(t, "now")
		used := new(big.Int)
		for range 30 {
			l := rapid.SampledFrom(numbers).Draw(t, "numbers")
			rule := newRule(t, "r", l)
			n := max(1, drawTokens(t, rule))
			d := store.Take(rule, "key", n, now)

			left := new(big.Int).Sub(big.NewInt(l.Capacity()), used)
			allowed := l.Count > 0 && left.Cmp(big.NewInt(n)) >= 0
			if allowed {
				used.Add(used, big.NewInt(n))
				left.Sub(left, big.NewInt(n))
			}
			remaining := max(0, left.Int64())
			if !left.IsInt64() {
				remaining = 0 // far below
			}
			if d.Allowed != allowed || d.Remaining != remaining {
				t.Fatalf("%d tokens of %+v with %v taken: got %+v, want %v and %d left", n, l, used, d, allowed, remaining)
			}
		}
	})
}

// However numbers change while time goes by, no token is made. What flows back
// between two hits does so at the rate of the first, allowed or not, unless that
// limit can't hold what was consumed.
func TestChangesNeverMakeATokenWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := newStore()
		numbers := []bucket.Limit{drawLimit(t), drawLimit(t), drawLimit(t)}
		used, rate := new(big.Rat), new(big.Rat)
		var now, then int64
		for range 30 {
			l := rapid.SampledFrom(numbers).Draw(t, "numbers")
			rule := newRule(t, "r", l)
			now = drawLater(t, rule, now)
			d := store.Take(rule, "key", 1, now)

			back := new(big.Rat).SetInt64(now - then)
			if used.Sub(used, back.Mul(back, rate)); used.Sign() < 0 {
				used.SetInt64(0)
			}
			if d.Allowed {
				used.Add(used, big.NewRat(1, 1))
			}
			then = now
			perNano := big.NewRat(l.Count, int64(l.Per))
			rounded := new(big.Rat).Add(used, big.NewRat(30, 1)) // each change rounds up, by less than a token
			switch edge := big.NewRat(1<<62, 1); {
			case d.Allowed || rounded.Quo(rounded, perNano).Cmp(edge) <= 0:
				rate = perNano
			case back.Quo(used, perNano).Cmp(edge) <= 0 && perNano.Cmp(rate) > 0:
				rate = perNano // it may hold that much, or not
			}
			most := new(big.Rat).Sub(big.NewRat(l.Capacity(), 1), used)
			if most.Cmp(big.NewRat(d.Remaining, 1)) < 0 && (d.Allowed || d.Remaining > 0) {
				t.Fatalf("%+v at %d: %+v, though only %v can be left", l, now, d, most.FloatString(3))
			}
		}
	})
}

// RetryAfter is exact right after a change too, in the new numbers.
func TestWaitingRetryAfterAdmitsAfterAChange(t *testing.T) {
	everyday := rapid.Custom(func(t *rapid.T) bucket.Limit {
		return bucket.Limit{
			Count: rapid.Int64Range(1, 100).Draw(t, "count"),
			Per:   time.Duration(rapid.Int64Range(1, int64(day)).Draw(t, "per")),
			Burst: rapid.Int64Range(0, 100).Draw(t, "burst"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		store, now := newStore(), int64(0)
		for range 4 {
			rule := newRule(t, "r", everyday.Draw(t, "a"), everyday.Draw(t, "b"))
			checkRetryAfter(t, store, rule, rapid.Int64Range(0, 100).Draw(t, "n"), now)
			now = drawLater(t, rule, now+100*int64(day))
			store.Take(rule, "key", rapid.Int64Range(0, 100).Draw(t, "taken"), now)
			now += rapid.Int64Range(0, int64(day)).Draw(t, "gap")
		}
	})
}

func TestLimitsKeepTheirState(t *testing.T) {
	limit := func(name string, count int64) bucket.Limit {
		return bucket.Limit{Name: name, Count: count, Per: time.Hour}
	}
	a, b := limit("a", 10), limit("b", 20)
	for name, c := range map[string]struct {
		before, after []bucket.Limit
		left          []int64 // of each limit of after, when 4 were taken before
	}{
		"the same":                     {[]bucket.Limit{a, b}, []bucket.Limit{a, b}, []int64{6, 16}},
		"swapped, named":               {[]bucket.Limit{a, b}, []bucket.Limit{b, a}, []int64{16, 6}},
		"appended, named":              {[]bucket.Limit{a}, []bucket.Limit{a, b}, []int64{6, 20}},
		"prepended, named":             {[]bucket.Limit{a}, []bucket.Limit{b, a}, []int64{20, 6}},
		"removed, named":               {[]bucket.Limit{a, b}, []bucket.Limit{b}, []int64{16}},
		"renamed":                      {[]bucket.Limit{a}, []bucket.Limit{limit("A", 10)}, []int64{10}},
		"other numbers, named":         {[]bucket.Limit{a}, []bucket.Limit{limit("a", 100)}, []int64{96}},
		"other numbers":                {[]bucket.Limit{limit("", 10)}, []bucket.Limit{limit("", 100)}, []int64{96}},
		"appended":                     {[]bucket.Limit{limit("", 10)}, []bucket.Limit{limit("", 10), limit("", 30)}, []int64{6, 30}},
		"a named one among unnamed":    {[]bucket.Limit{limit("", 10)}, []bucket.Limit{a, limit("", 10)}, []int64{10, 6}},
		"two unnamed, and the same":    {[]bucket.Limit{limit("", 10), limit("", 10)}, []bucket.Limit{limit("", 10), limit("", 10)}, []int64{6, 6}},
		"unnamed are known by place":   {[]bucket.Limit{limit("", 10), limit("", 30)}, []bucket.Limit{limit("", 30), limit("", 10)}, []int64{26, 6}},
		"the longest name that can be": {[]bucket.Limit{limit(long[:64], 10)}, []bucket.Limit{limit(long[:64], 10)}, []int64{6}},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore()
			store.Take(newRule(t, "r", c.before...), "key", 4, 0)
			rule := newRule(t, "r", c.after...)
			for i, l := range c.after {
				// Whoever holds the least answers, so give the others plenty.
				alone := append([]bucket.Limit(nil), c.after...)
				for j := range alone {
					if j != i {
						alone[j].Burst = 1 << 20
					}
				}
				if d := peek(store, newRule(t, rule.Name(), alone...), "key", 0); d.Limit != l || d.Remaining != c.left[i] {
					t.Errorf("limit %d: got %+v, want %d left", i, d, c.left[i])
				}
			}
		})
	}
}
