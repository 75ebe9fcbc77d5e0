package bucket_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// windowStep is a hit and what becomes of it; times are in seconds.
type windowStep struct {
	at, n               float64
	allowed             bool
	remaining           int64
	retryAfter, resetIn float64
}

// What limits' fixed, moving and sliding windows do, save for two things: a
// refused hit takes nothing, and a window is half-open in every algorithm (an entry
// exactly a window old is free).
func TestWindowsStepByStep(t *testing.T) {
	const nano = 1e-9
	for name, c := range map[string]struct {
		limit string
		steps []windowStep
	}{
		"fixed": {"5/minute fixed", []windowStep{
			{100, 0, yes, 5, 0, 0}, // asking opens no window
			{103, 2, yes, 3, 0, 60},
			{104, 6, no, 3, never.Seconds(), 59},
			{105, 4, no, 3, 58, 58},
			{105, 3, yes, 0, 0, 58},
			{162, 1, no, 0, 1, 1},
			{163 - nano, 1, no, 0, nano, nano},
			{163, 5, yes, 0, 0, 60},
			{400, 0, yes, 5, 0, 0},
		}},
		"fixed, aligned": {"5/minute fixed aligned", []windowStep{
			{103, 5, yes, 0, 0, 17},
			{119, 1, no, 0, 1, 1},
			{120, 5, yes, 0, 0, 60},
		}},
		"sliding": {"10/minute sliding", []windowStep{
			{100, 10, yes, 0, 0, 114 + nano}, // a sixth of a minute into the next window gives back a token
			{130, 1, no, 0, 30 + nano, 84 + nano},
			{160, 1, no, 0, nano, 54 + nano}, // what is left of the tenth doesn't count
			{166, 1, yes, 0, 0, 54 + nano},
			{190, 2, yes, 2, 0, 70 + nano}, // 5 of the former and 3
			{190, 3, no, 2, nano, 70 + nano},
			{220, 8, no, 7, nano, 40 + nano},
			{280, 10, yes, 0, 0, 114 + nano},
		}},
		"sliding, of one": {"1/minute sliding", []windowStep{
			{100, 1, yes, 0, 0, 60 + nano},
			{160, 1, no, 0, nano, nano},
			{160 + nano, 1, yes, 0, 0, 60},
		}},
		"sliding, aligned": {"10/minute sliding aligned", []windowStep{
			{103, 10, yes, 0, 0, 71 + nano},
			{150, 5, yes, 0, 0, 78 + nano},
			{150, 1, no, 0, nano, 78 + nano},
		}},
		"log": {"5/minute log", []windowStep{
			{100, 0, yes, 5, 0, 0},
			{100, 2, yes, 3, 0, 60},
			{110, 1, yes, 2, 0, 60},
			{120, 2, yes, 0, 0, 60},
			{120, 1, no, 0, 40, 60},
			{120, 3, no, 0, 50, 60},
			{120, 4, no, 0, 60, 60},
			{120, 6, no, 0, never.Seconds(), 60},
			{160 - nano, 1, no, 0, nano, 20 + nano},
			{160, 2, yes, 0, 0, 60},
			{169, 3, no, 0, 11, 51},
			{170, 1, yes, 0, 0, 60},
			{500, 5, yes, 0, 0, 60},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			store, rule := newStore(), bucket.MustRule("r", c.limit)
			for i, s := range c.steps {
				d := store.Take(rule, "key", int64(s.n), ns(s.at))
				retry, reset := time.Duration(ns(s.retryAfter)), time.Duration(ns(s.resetIn))
				if s.retryAfter == never.Seconds() {
					retry = never
				}
				if d.Allowed != s.allowed || d.Remaining != s.remaining || d.RetryAfter != retry || d.ResetAfter != reset {
					t.Errorf("step %d: %+v: got %+v", i+1, s, d)
				}
			}
		})
	}
}

// ns is seconds in nanoseconds, to the nearest.
func ns(seconds float64) int64 { return int64(math.Round(seconds * 1e9)) }

// A client that comes at the limit's rate, or a nanosecond later each time, is never
// refused.
func TestASlidingWindowLetsTheLimitsRatePass(t *testing.T) {
	for count := int64(1); count <= 20; count++ {
		store, rule := newStore(), newRule(t, "r", bucket.Limit{Algorithm: bucket.SlidingWindow, Count: count, Per: time.Minute})
		for i := range 10 * count {
			if d := store.Take(rule, "key", 1, i*(int64(time.Minute)/count+1)); !d.Allowed {
				t.Errorf("hit %d of %d a minute: %+v", i, count, d)
			}
		}
	}
}

// At an even rate of exactly the limit a log goes round and round.
func TestALogIsAsExactWhenItIsLong(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "1024/second log")
	now := int64(0)
	for i := range int64(5000) {
		now = i * 1e9 / 1024
		if d := store.Take(rule, "key", 1, now); !d.Allowed {
			t.Fatalf("hit %d: %+v", i, d)
		}
	}
	if d := store.Take(rule, "key", 1, now); d.Allowed {
		t.Errorf("one more: %+v", d)
	}
}

// What goes wrong in peers: each of these was seen in Gubernator 2.x.
func TestFaultsOfPeers(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm.String(), func(t *testing.T) {
			named := func(count int64, per time.Duration) *bucket.Rule {
				return newRule(t, "r", bucket.Limit{Name: "x", Algorithm: algorithm, Count: count, Per: per})
			}
			t.Run("a refusal doesn't stick", func(t *testing.T) {
				store := newStore()
				two, ten := named(2, time.Hour), named(10, time.Hour)
				for i, want := range []bool{yes, yes, no, no} {
					if d := store.Take(two, "key", 1, 0); d.Allowed != want {
						t.Errorf("hit %d: %+v", i+1, d)
					}
				}
				for left := int64(7); left >= 0; left-- {
					if d := store.Take(ten, "key", 1, 0); !d.Allowed || d.Remaining != left {
						t.Errorf("with the limit raised: %+v, want %d left", d, left)
					}
				}
				if d := store.Take(ten, "key", 1, 0); d.Allowed {
					t.Errorf("beyond the raised limit: %+v", d)
				}
			})
			t.Run("lowering a limit for a moment gives nothing back", func(t *testing.T) {
				store := newStore()
				for i, step := range []struct{ count, n, left int64 }{{10, 5, 5}, {3, 0, 0}, {10, 0, 5}, {10, 1, 4}} {
					if d := store.Take(named(step.count, time.Hour), "key", step.n, 0); d.Remaining != step.left {
						t.Errorf("step %d: %+v, want %d left", i+1, d, step.left)
					}
				}
			})
			t.Run("a shorter window begins anew", func(t *testing.T) {
				store := newStore()
				store.Take(named(2, time.Hour), "key", 2, 0)
				store.Take(named(2, time.Second), "key", 0, int64(time.Minute))
				if d := store.Take(named(2, time.Second), "key", 1, int64(time.Minute+2*time.Second)); !d.Allowed || d.Remaining != 1 {
					t.Errorf("%+v", d)
				}
			})
			t.Run("negative and excessive hits take nothing", func(t *testing.T) {
				store, rule := newStore(), named(2, time.Hour)
				store.Take(rule, "key", 1, 0)
				for _, n := range []int64{-1, -100, math.MinInt64, math.MinInt64 + 1, 3, math.MaxInt64} {
					if d := store.Take(rule, "key", n, 0); d.Allowed || d.RetryAfter != never {
						t.Errorf("%d hits: %+v", n, d)
					}
				}
				if d := peek(store, rule, "key", 0); d.Remaining != 1 {
					t.Errorf("%+v", d)
				}
			})
			t.Run("reading makes no entry", func(t *testing.T) {
				store := newStore()
				if d := peek(store, named(2, time.Hour), "key", 0); d.Remaining != 2 || store.Len() != 0 {
					t.Errorf("%+v, and %d entries", d, store.Len())
				}
			})
			t.Run("no window, a negative one and a negative count are refused", func(t *testing.T) {
				for _, l := range []bucket.Limit{{Count: 1}, {Count: 1, Per: -1}, {Count: 1, Per: math.MinInt64}, {Count: -5, Per: 1}, {Count: 2, Per: math.MaxInt64, Burst: 0}} {
					l.Algorithm = algorithm
					if r, err := bucket.NewRule("r", []bucket.Limit{l}); err == nil {
						t.Errorf("%v", r)
					}
				}
			})
			t.Run("the reset is never in the past", func(t *testing.T) {
				store, rule := newStore(), named(1000, time.Second)
				for i := range int64(1500) {
					if d := store.Take(rule, "key", 1, i*1e5); d.ResetAfter <= 0 || d.RetryAfter < 0 {
						t.Fatalf("hit %d: %+v", i, d)
					}
				}
			})
		})
	}
}

// A caller whose time is behind that of the store's other callers can't move it.
func TestLateHitsFindNoMoreThanTheirs(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(fmt.Sprint(algorithm), func(t *testing.T) {
			store, rule := newStore(), newRule(t, "r", bucket.Limit{Algorithm: algorithm, Count: 1, Per: time.Second})
			now := int64(time.Hour)
			store.Take(rule, "key", 1, now)
			for _, late := range []int64{1, 5e8, 5e9, now} {
				if d := store.Take(rule, "key", 1, now-late); d.Allowed {
					t.Errorf("%d late: %+v", late, d)
				}
			}
		})
	}
}
