package bucket

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// bytes is the memory of a store's logs.
func (s *Store) logBytes() (n int) {
	for i := range s.shards {
		if logs := s.shards[i].table.logs; logs != nil {
			for _, c := range logs.chunks {
				n += 8 * len(c.times)
			}
		}
	}
	return n
}

// However keys come and go, their limits change and copies arrive: every log has
// its block, no block is lost, and when all keys are full no memory is left.
func TestLogsOfManyKeys(t *testing.T) {
	var rules []*Rule
	for _, text := range []string{"20/second log", "5/second log; 7/minute log", "3/second; 20/second log", "20/minute log", "20/second fixed", "9/second sliding; 8/second"} {
		limits, err := ParseLimits(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range limits {
			limits[i].Name = fmt.Sprint(i)
		}
		r, err := NewRule("r", limits)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	store, other := NewStore(StoreConfig{Track: true}), NewStore(StoreConfig{MaxLimits: 5})
	now := int64(0)
	for i := range 60_000 {
		d := Digest{uint64(rng.IntN(3)) << 52, rng.Uint64N(300) << 55}
		now += rng.Int64N(1e7)
		rule := rules[rng.IntN(len(rules))]
		before := store.TakeDigest(rule, d, 0, now)
		v := store.TakeDigest(rule, d, rng.Int64N(8), now)
		if v.Remaining < 0 || v.Remaining > before.Remaining && len(rule.limits) == 1 {
			t.Fatalf("%v: %+v, and then %+v", rule, before, v)
		}
		if other.TakeShare(rule, d, rng.Int64N(3), now, 1+i%3); i%7 == 0 {
			store.Sweep(now, 500)
			other.Sweep(now, 5000)
		}
		if i%100 == 0 {
			partition := rng.IntN(3)
			for from, to := range map[*Store]*Store{store: other, other: store} {
				copied, _ := from.AppendCopy(nil, partition, now)
				if err := to.Merge(partition, copied, now); err != nil {
					t.Fatal(err)
				}
			}
			checkStore(t, store)
			checkStore(t, other)
		}
	}
	for _, s := range []*Store{store, other} {
		s.Sweep(now+1e12, math.MaxInt)
		s.Sweep(now+1e12, math.MaxInt)
		checkStore(t, s)
		if s.Len() != 0 || s.logBytes() != 0 {
			t.Errorf("%d entries and %d bytes of logs are left", s.Len(), s.logBytes())
		}
	}
}

// A token in a log takes 8 to 16 bytes while the log grows, and up to 32 until it
// shrinks, apart from the chunks that each of 256 shards has begun.
func TestMemoryPerLoggedToken(t *testing.T) {
	for _, c := range []struct{ keys, tokens int }{{50_000, 3}, {20_000, 10}, {20_000, 17}, {2000, 512}, {1000, 1024}} {
		store, rule := NewStore(StoreConfig{}), MustRule("r", "1024/hour log")
		for i := range c.tokens {
			for key := range c.keys {
				store.Take(rule, fmt.Sprint(key), 1, int64(i))
			}
		}
		begun := shardCount * 8 * maxBlock
		each := float64(store.logBytes()-begun) / float64(c.keys*c.tokens)
		t.Logf("%d keys of %d tokens: %.1f bytes a token", c.keys, c.tokens, float64(store.logBytes())/float64(c.keys*c.tokens))
		if each > 16.1 || store.logBytes() < 8*c.keys*c.tokens {
			t.Errorf("%d keys of %d tokens: %.1f bytes a token", c.keys, c.tokens, each)
		}
		checkStore(t, store)
		if store.Sweep(2*3600e9, math.MaxInt); store.logBytes() != 0 {
			t.Errorf("%d bytes are left", store.logBytes())
		}
	}
}

// Once its block is there, a log's hits allocate nothing.
func TestLogsDontAllocate(t *testing.T) {
	store, rule := NewStore(StoreConfig{}), MustRule("r", "100/second log")
	now := int64(0)
	hit := func() {
		now += 1e7
		store.Take(rule, "key", 1, now)
	}
	for range 1000 {
		hit()
	}
	if n := testing.AllocsPerRun(10_000, hit); n != 0 {
		t.Errorf("%v allocations a hit", n)
	}
}
