package bucket_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// TestStoreAgainstMap compares the store with a plain map of model buckets that
// forgets nothing, while keys come and go and the sweep follows. Half of the
// keys crowd in one shard, so that its table is swept in many slices and made
// anew in between, and there close together.
func TestStoreAgainstMap(t *testing.T) {
	rules := []*bucket.Rule{
		bucket.MustRule("short", "3/second"),
		bucket.MustRule("long", "5/hour; 7/2 hours"),
		bucket.MustRule("odd", "1000000007/minute; 7/second; 70/minute"),
	}
	type who struct{ rule, key int }
	digest := func(w who) bucket.Digest {
		d := bucket.Digest{Hi: uint64(w.key) * 0x9e3779b97f4a7c15, Lo: uint64(w.rule)<<60 | uint64(w.key)*0xd1342543de82ef95>>4}
		if w.key%2 == 0 {
			d = bucket.Digest{Hi: 0xabc<<52 | uint64(w.key), Lo: uint64(w.rule)<<62 + uint64(w.key)*0x4_0000_0000_0000}
		}
		return d
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rng, store := newRand(seed), newStore()
			known := map[who]models{}
			live := func(now int64) (entries int) {
				for _, ms := range known {
					for _, m := range ms {
						if !m.full(now) {
							entries++
						}
					}
				}
				return entries
			}
			now := int64(0)
			for i := range scaled(60_000) {
				w := who{rng.IntN(len(rules)), rng.IntN(6000)}
				if known[w] == nil {
					known[w] = newModels(rules[w.rule])
				}
				n := rng.Int64N(4)
				got, want := bare(rules[w.rule].Decision(store.TakeDigest(rules[w.rule], digest(w), n, now))), known[w].take(n, now)
				if got != want {
					t.Fatalf("hit %d, %v at %d:\nthe store says %+v\nthe map says   %+v", i, w, now, got, want)
				}
				switch luck := rng.IntN(5000); {
				case luck == 0:
					store.Sweep(now, math.MaxInt) // whatever is left of a round,
					store.Sweep(now, math.MaxInt) // and a whole one
					if got, want := store.Len(), live(now); got != want {
						t.Fatalf("hit %d: %d entries are left of %d live ones", i, got, want)
					}
				case luck < 5:
					if before := store.Len(); before-store.Sweep(now, math.MaxInt) != store.Len() {
						t.Fatalf("hit %d: %d entries, and after a sweep %d", i, before, store.Len())
					}
				case luck < 10:
					now += rng.Int64N(int64(10 * time.Minute))
				case luck < 50:
					store.Sweep(now, rng.IntN(3000))
				default:
					now += rng.Int64N(int64(2 * time.Millisecond))
				}
			}
		})
	}
}

func TestSweepDropsWhatIsFull(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "1/second; 2/minute")
	for i := range 5000 {
		store.Take(rule, fmt.Sprint(i), 1, int64(i))
	}
	for _, c := range []struct {
		now           time.Duration
		dropped, left int
	}{
		{time.Second - 1, 0, 10000},
		{time.Second, 1, 9999}, // the first second's bucket is full on the dot
		{time.Second + 99, 99, 9900},
		{time.Second + time.Hour, 9900, 0},
		{time.Second + time.Hour, 0, 0},
		{0, 0, 0},
	} {
		if dropped := store.Sweep(int64(c.now), math.MaxInt); dropped != c.dropped || store.Len() != c.left {
			t.Errorf("at %v: dropped %d, left %d, want %+v", c.now, dropped, store.Len(), c)
		}
	}
}

// However little it looks at, a sweep that is called again and again meets
// everything; and it does no work at all when it may look at nothing.
func TestSweepBySmallSteps(t *testing.T) {
	for _, slots := range []int{1, 100, 1024, 1025, 50_000} {
		store, rule := newStore(), bucket.MustRule("r", "1/second")
		for i := range 3000 {
			store.TakeDigest(rule, bucket.Digest{Hi: uint64(i % 3), Lo: uint64(i) << 48}, 1, 0) // in one shard
		}
		if store.Sweep(time.Hour.Nanoseconds(), 0) != 0 || store.Sweep(time.Hour.Nanoseconds(), -1) != 0 {
			t.Error("a sweep of nothing drops something")
		}
		dropped, most, calls := 0, 0, 0
		for ; dropped < 3000 && calls < 10_000; calls++ {
			n := store.Sweep(time.Hour.Nanoseconds(), slots)
			dropped, most = dropped+n, max(most, n)
		}
		if store.Len() != 0 || most > slots+1024 {
			t.Errorf("%d slots a time: dropped %d, %d in one call, in %d calls", slots, dropped, most, calls)
		}
	}
}
