package test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Strangers bring as many keys as they like: other keys notice nothing, and none that
// isn't full is dropped.
func TestAFloodOfNewKeys(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(50)
		questions := f.oneEach(bucket.MustRule("api", "60/second burst 10"))
		load := f.load(20*time.Millisecond, f.replicas, questions...)
		strangers := bucket.MustRule("strangers", "50/second; 1000/hour")
		var wg sync.WaitGroup
		for i, r := range f.replicas {
			wg.Go(func() {
				for j := range 2000 {
					if d := r.ask(strangers, fmt.Sprint("stranger ", i, " ", j), 50); !d.Allowed || d.Degraded {
						t.Errorf("a new key: %+v", d)
					}
					if j%10 == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(20 * time.Second) // the sweep comes round
		answers := load.stop()
		answers.answered(f, 3*3*900)
		answers.check(f, questions, 0, 0)
		idle.none(f, "a flood")
	})
}

// The flood goes on when the memory of all is full, and a replica joins: strangers are
// refused too early, and nobody else is; whoever shares with them is admitted no more
// than its limit.
func TestAFloodFillsTheMemory(t *testing.T) {
	small := func(c *cluster.Config) { c.MaxMemory = 1 << 20 }
	story(t, func(f *fleet) {
		f.start(2, small)
		f.ready(formTime, f.replicas...)
		idle := f.exhaust(50)
		questions := f.oneEach(bucket.MustRule("api", "60/second burst 10"))
		load := f.load(20*time.Millisecond, f.replicas, questions...)
		strangers := bucket.MustRule("strangers", "5/hour")
		flood := func(from, to int) (refused int) {
			for i := from; i < to; i++ {
				d := f.replicas[i%2].ask(strangers, fmt.Sprint("stranger ", i), 2)
				if d.Degraded {
					t.Errorf("a new key: %+v", d)
				}
				if !d.Allowed {
					refused++
				}
				if i%200 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			return refused
		}
		if n := flood(0, 5000); n > 0 {
			t.Errorf("%d strangers are refused while there is room", n)
		}
		if flood(5000, 40_000) == 0 {
			t.Error("the memory isn't full")
		}
		for _, r := range f.replicas {
			if m := r.Metrics().Store; m.Overflowed == 0 || m.Bytes > m.MaxBytes+1536<<10 { // and what is shared
				t.Errorf("%s: %+v", r.Name(), m)
			}
		}
		load.stop().check(f, questions, 0, 0)
		f.startOne(small)
		f.ready(formTime, f.replicas...)
		load = f.load(20*time.Millisecond, f.replicas, questions...)
		flood(40_000, 45_000)
		load.stop().checkOver(f, questions, 0)
		idle.none(f, "a flood")
	})
}

// More callers ask at once than may wait for a peer that has fallen silent. Those of
// one key wait in one place, however many they are. Those of too many keys don't: the
// policy answers them at once. No more pass than its shares.
func TestTooManyWaitForAHolder(t *testing.T) {
	const callers = 12_000
	for _, tt := range []struct {
		name    string
		keys    int
		allowed int // of all callers
		full    bool
	}{
		{"one key", 1, 50, false},
		{"many keys", callers, callers, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(2)
				f.ready(formTime, f.replicas...)
				asker, holder := f.replicas[0], f.replicas[1]
				rule := bucket.MustRule("api", "100/hour")
				var keys []string
				for i := 0; len(keys) < tt.keys; i++ {
					if key := fmt.Sprint("key ", i); holder.Owner(rule, key) == holder.Name() {
						keys = append(keys, key)
					}
				}
				asker.ask(rule, keys[0], 1)
				f.net.Cut(asker.host, holder.host)
				var wg sync.WaitGroup
				var mu sync.Mutex
				allowed, atOnce := 0, 0
				for i := range callers {
					wg.Go(func() {
						began := time.Now()
						d := asker.ask(rule, keys[i%len(keys)], 1)
						mu.Lock()
						defer mu.Unlock()
						if time.Since(began) == 0 {
							atOnce++
						}
						if d.Allowed {
							allowed++
						}
						if !d.Degraded || time.Since(began) > hitTimeout {
							t.Errorf("after %v: %+v", time.Since(began), d)
						}
					})
				}
				wg.Wait()
				if allowed != tt.allowed {
					t.Errorf("%d passed, want %d", allowed, tt.allowed)
				}
				if full := atOnce > 0; full != tt.full || atOnce > callers/2 {
					t.Errorf("%d of %d were answered at once, as the queue was full", atOnce, callers)
				}
			})
		})
	}
}

// A key that nobody has asked for is hit ten million times a second, all at one
// replica, and another owns it: no queue is full and no decision is degraded, whether
// or not tokens of the key can be lent.
func TestAKeyIsHotFromCold(t *testing.T) {
	const burst, bursts, pause = 1000, 40, 100 * time.Microsecond // 10 million a second for 4 ms
	for _, limits := range []string{"100000000/second", "10000 per hour sliding", "3000/second; 50000/hour leaky"} {
		t.Run(limits, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(2)
				f.ready(formTime, f.replicas...)
				asker, owner := f.replicas[0], f.replicas[1]
				rule := bucket.MustRule("api", limits)
				key := owner.keyOf(rule, 0)
				var wg sync.WaitGroup
				var degraded, allowed atomic.Int64
				began := time.Now()
				for range bursts {
					for range burst {
						wg.Go(func() {
							d := asker.ask(rule, key, 1)
							if d.Degraded {
								degraded.Add(1)
							}
							if d.Allowed {
								allowed.Add(1)
							}
						})
					}
					time.Sleep(pause)
				}
				wg.Wait()
				if degraded.Load() > 0 {
					t.Errorf("%d of %d decisions are degraded", degraded.Load(), bursts*burst)
				}
				if took := time.Since(began); took > bursts*pause+10*time.Millisecond {
					t.Errorf("took %v", took)
				}
				least := min(bursts*burst, rule.Capacity())
				most := least + int64(time.Since(began).Seconds()*3000) + 1
				if n := allowed.Load(); n < least || n > most {
					t.Errorf("%d passed, want %d to %d", n, least, most)
				}
			})
		})
	}
}
