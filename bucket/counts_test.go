package bucket

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Every hit that TakeCommon decides is counted once, and no other, whoever takes at the
// same time.
func TestHitsAreCounted(t *testing.T) {
	s, rule := NewStore(StoreConfig{}), MustRule("api", "3/hour")
	var counts Counts
	var held atomic.Int64
	take := func(i int) bool {
		return s.TakeCommon(new(Decision), &held, &counts, rule, s.Digest(rule, strconv.Itoa(i)), 1, 0)
	}
	if held.Store(1); take(0) {
		t.Fatal("decided of a key that wasn't there")
	}
	for i := range 500 {
		s.Take(rule, strconv.Itoa(i), 1, 0)
	}
	if held.Store(0); take(0) {
		t.Fatal("decided what isn't held")
	}
	held.Store(1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				if !take(i) {
					t.Errorf("hit of key %d is none of the commonest", i)
				}
			}
			s.Counted(&counts)
		})
	}
	wg.Wait()
	if admitted, refused := s.Counted(&counts); admitted != 1000 || refused != 1000 {
		t.Errorf("counted %d admitted and %d refused, not 1000 each", admitted, refused)
	}
}

// What TakeCommon decides is what would have been decided without it, and what it leaves
// is as it was.
func TestTheCommonestHitIsDecidedAsAnyOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	rules := []*Rule{
		MustRule("api", "7/second burst 20"), MustRule("api", "3/second burst 9"), MustRule("slow", "0/second"),
		MustRule("two", "5/second; 20/minute"), MustRule("seen", "2/second", WithMode(Shadow)), MustRule("off", "2/second", WithMode(Off)),
	}
	quick, slow := NewStore(StoreConfig{}), NewStore(StoreConfig{})
	common, now := 0, int64(0)
	for range 20_000 {
		rule, n := rules[rng.IntN(len(rules))], rng.Int64N(25)-1
		now += rng.Int64N(int64(100_000_000))
		d := quick.Digest(rule, strconv.Itoa(rng.IntN(9)))
		var got Decision
		if quick.TakeCommon(&got, nil, nil, rule, d, n, now) {
			common++
		} else {
			if got != (Decision{}) {
				t.Fatalf("%v left, with %+v", rule, got)
			}
			got = rule.Decision(quick.TakeDigest(rule, d, n, now))
		}
		var v Verdict
		slow.take(&v, nil, &hit{rule.terms, rule.plain, rule.print, d, n, now})
		if want := rule.Decision(v); got != want {
			t.Fatalf("%v, %d tokens at %d:\ngot  %+v\nwant %+v", rule, n, now, got, want)
		}
	}
	if common < 1000 {
		t.Errorf("only %d hits were of the commonest", common)
	}
}
