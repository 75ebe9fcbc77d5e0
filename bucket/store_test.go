package bucket_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// together runs f in n goroutines that start at the same time.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func TestConcurrentHitsAdmitExactlyTheBurst(t *testing.T) {
	const goroutines, burst, now = 16, 1000, 12345
	for _, limits := range []string{"1000/hour", "1000/hour; 5000/hour; 1001/day"} {
		store, rule := newStore(), bucket.MustRule("r", limits)
		var admitted atomic.Int64
		together(goroutines, func(i int) {
			for k := range burst {
				n := int64(1 + (i+k)%3)
				if store.Take(rule, "key", n, now).Allowed {
					admitted.Add(n)
				}
				if k%50 == 0 {
					store.Sweep(now, 2000)
				}
			}
		})
		if got := admitted.Load(); got != burst {
			t.Errorf("%s: %d admitted", limits, got)
		}
	}
}

// The keys come and go, so do the numbers of the limits, and the sweep follows:
// for the race detector, and each key still gets what it should.
func TestConcurrentKeysNumbersAndSweeps(t *testing.T) {
	store := bucket.NewStore(bucket.StoreConfig{MaxLimits: 50})
	for round := range int64(60) {
		now := round * 600e9
		together(8, func(i int) {
			a := bucket.MustRule("r", strconv.FormatInt(10+(round+int64(i))%20, 10)+"/second; 11/minute")
			b := bucket.MustRule("r", "10/second; 10/minute")
			for k := range 20 {
				key := strconv.Itoa(i*20 + k)
				x, y, z := store.Take(a, key, 6, now), store.Take(b, key, 5, now), store.Take(b, key, 4, now)
				if !x.Allowed || y.Allowed || !z.Allowed || z.Remaining != 0 {
					t.Errorf("round %d, key %s: %+v, %+v, %+v", round, key, x, y, z)
					return
				}
			}
			store.Sweep(now, 3000)
			store.Len()
		})
	}
}

func TestRulesOfOneNameShareTheirState(t *testing.T) {
	store := newStore()
	store.Take(bucket.MustRule("one", "10/hour"), "key", 3, 0)
	if d := peek(store, bucket.MustRule("one", "10/hour"), "key", 0); d.Remaining != 7 {
		t.Errorf("another rule of that name: %+v", d)
	}
	if d := peek(store, bucket.MustRule("two", "10/hour"), "key", 0); d.Remaining != 10 {
		t.Errorf("a rule of another name: %+v", d)
	}
	if d := peek(newStore(), bucket.MustRule("one", "10/hour"), "key", 0); d.Remaining != 10 {
		t.Errorf("another store: %+v", d)
	}
}

func TestOnlyWhatWasTakenIsKept(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "2/second; 3/minute")
	for i, c := range []struct {
		key  string
		n    int64
		keep int
	}{
		{"a", 0, 0}, {"a", 3, 0}, {"a", 4, 0}, {"a", -1, 0}, {"a", 1, 2}, {"a", 1, 2}, {"a", 1, 2}, {"b", 1, 4},
	} {
		store.Take(rule, c.key, c.n, 0)
		if store.Len() != c.keep {
			t.Errorf("step %d: %d entries, want %d", i, store.Len(), c.keep)
		}
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	store, now := newStore(), int64(0)
	name := long[:100]
	one, three := bucket.MustRule(name, "10/second"), bucket.MustRule(name+"3", "10/second; 1000/minute; 7000000/hour")
	key := long[:253-len(name)]
	refusing := bucket.MustRule("refusing", "1/year")
	store.Take(refusing, key, 1, now)
	decoded, err := bucket.DecodeRule(encode(t, three))
	if err != nil {
		t.Fatal(err)
	}
	digest := store.Digest(three, key)
	for what, take := range map[string]func() bool{
		"one limit":               func() bool { return store.Take(one, key, 1, now).Allowed },
		"three limits":            func() bool { return store.Take(three, key, 2, now).Allowed },
		"refused":                 func() bool { return !store.Take(refusing, key, 1, now).Allowed },
		"refused for ever":        func() bool { return !store.Take(three, key, 1<<40, now).Allowed },
		"a key that isn't there":  func() bool { return store.Take(one, "new", 0, now).Allowed },
		"by digest":               func() bool { return store.TakeDigest(decoded, digest, 1, now).Allowed },
		"by share":                func() bool { return store.TakeShare(three, digest, 1, now, 3).Allowed },
		"by another share":        func() bool { return store.TakeShare(decoded, digest, 1, now, 2+int(now/1e9)%2).Allowed },
		"by share, refused":       func() bool { return !store.TakeShare(three, digest, 1<<40, now, 3).Allowed },
		"numbers that take turns": func() bool { return store.Take([]*bucket.Rule{one, refusing}[now/1e9%2], "alternate", 0, now).Allowed },
	} {
		t.Run(what, func(t *testing.T) {
			answered := true
			step := func() {
				now += 1e9
				answered = take() && answered
			}
			step()
			if n := testing.AllocsPerRun(100, step); n != 0 || !answered {
				t.Errorf("%v allocations a hit; as expected: %t", n, answered)
			}
		})
	}
}
