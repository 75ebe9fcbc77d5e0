package test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// slotTime is how long the slots of a replica that has crashed may stay taken.
const slotTime = 4 * time.Second

// acquire asks for a slot, and fails the test on any error.
func (r *replica) acquire(rule *bucket.Rule, key string) (release func(), d bucket.Decision) {
	r.fleet.Helper()
	release, d, err := r.Acquire(r.fleet.Context(), rule, key)
	if err != nil {
		r.fleet.Errorf("%s: Acquire: %v", r.Name(), err)
	}
	return release, d
}

// fill takes slots by way of all replicas in turn until one is refused, and returns
// what releases them.
func (f *fleet) fill(rule *bucket.Rule, key string) (releases []func()) {
	f.Helper()
	for i := 0; ; i++ {
		release, d := f.replicas[i%len(f.replicas)].acquire(rule, key)
		if d.Degraded {
			f.Errorf("slot %d: %+v", i, d)
		}
		if !d.Allowed {
			return releases
		}
		releases = append(releases, release)
	}
}

func TestSlotsAreSharedByAllReplicas(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("slow", "4 concurrent")
		for _, holder := range f.replicas {
			key := holder.keyOf(rule, 0)
			releases := f.fill(rule, key)
			if len(releases) != 4 {
				t.Errorf("%d ran at a time", len(releases))
			}
			for i, release := range releases {
				release()
				release() // which does nothing
				time.Sleep(10 * time.Millisecond)
				for range i + 1 {
					if _, d := f.replicas[(i+1)%3].acquire(rule, key); !d.Allowed {
						t.Errorf("after %d of 4 ended: %+v", i+1, d)
					}
				}
				if _, d := f.replicas[i%3].acquire(rule, key); d.Allowed || d.Remaining != 0 || d.RetryAfter != 0 {
					t.Errorf("one too many: %+v", d)
				}
				break
			}
		}
		if _, _, err := f.replicas[0].Acquire(f.Context(), bucket.MustRule("rate", "4/second"), "key"); !errors.Is(err, cluster.ErrNotConcurrent) {
			t.Errorf("a rule for rates: %v", err)
		}
		if _, err := f.replicas[0].Take(f.Context(), rule, "key", 1); !errors.Is(err, cluster.ErrConcurrent) {
			t.Errorf("a rule for what runs: %v", err)
		}
		if err := f.replicas[0].Reset(f.Context(), rule, "key"); !errors.Is(err, cluster.ErrConcurrent) {
			t.Errorf("a reset of what runs: %v", err)
		}
	})
}

// Never more than the limit run at a time, whoever is asked, and as many are
// admitted as there is room for.
func TestManyAskForSlots(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		const limit = 7
		rule := bucket.MustRule("slow", "7 concurrent")
		var running, most, served, refused atomic.Int64
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				for range 30 {
					release, d := f.replicas[rng.IntN(5)].acquire(rule, "key")
					if d.Degraded {
						t.Errorf("%+v", d)
					}
					if d.Allowed {
						now := running.Add(1)
						for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
						}
						time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
						running.Add(-1)
						release()
						served.Add(1)
					} else {
						refused.Add(1)
					}
					time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
				}
			})
		}
		wg.Wait()
		if most.Load() != limit || served.Load() < 100 || refused.Load() < 100 {
			t.Errorf("at most %d ran at a time, %d were served and %d refused", most.Load(), served.Load(), refused.Load())
		}
	})
}

// One after the other, by whatever replica, a client never meets its own slot.
func TestAReleasedSlotIsFreeEverywhere(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("slow", "1 concurrent")
		for _, holder := range f.replicas {
			key := holder.keyOf(rule, 0)
			for i := range 60 {
				release, d := f.replicas[i%3].acquire(rule, key)
				if !d.Allowed || d.Degraded {
					t.Errorf("request %d: %+v", i, d)
				}
				release()
			}
		}
	})
}

// A crash frees what the crashed one held, and what others hold stays known to
// whoever takes over.
func TestSlotsOutliveTheirHolder(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("slow", "4 concurrent", bucket.WithFailurePolicy(bucket.Deny))
		holder := f.replicas[0]
		key := holder.keyOf(rule, 0)
		if n := len(f.fill(rule, key)); n != 4 { // the dying one holds two of them
			t.Fatalf("%d ran at a time", n)
		}
		time.Sleep(100 * time.Millisecond)
		holder.kill()
		f.replicas = f.but(holder)
		free := 0
		began := time.Now()
		for free < 2 {
			if time.Since(began) > slotTime {
				t.Fatalf("only %d of 2 slots became free", free)
			}
			for _, r := range f.replicas {
				if _, d := r.acquire(rule, key); d.Allowed {
					free++
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("free again after %v", time.Since(began))
		time.Sleep(10 * time.Second)
		for _, r := range f.replicas {
			if _, d := r.acquire(rule, key); d.Allowed {
				t.Errorf("a fifth runs: %+v", d)
			}
		}
	})
}

// Slots move with their partition: joins and leaves free none, and count none
// twice.
func TestSlotsMoveWithTheirPartition(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(2)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("slow", "6 concurrent", bucket.WithFailurePolicy(bucket.Deny))
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
		held := map[string][]func(){}
		for _, key := range keys {
			held[key] = f.fill(rule, key)
			if len(held[key]) != 6 {
				t.Fatalf("%d ran at a time", len(held[key]))
			}
		}
		none := func(what string) {
			t.Helper()
			for _, key := range keys {
				for _, r := range f.replicas {
					if _, d := r.acquire(rule, key); d.Allowed {
						t.Errorf("after %s one more runs under %q: %+v", what, key, d)
					}
				}
			}
		}
		joined := f.startOne()
		f.ready(10*time.Second, f.replicas...)
		none("a join")
		time.Sleep(5 * time.Second)
		none("several renewals")
		for _, key := range keys {
			held[key][0]()
		}
		time.Sleep(50 * time.Millisecond)
		for _, key := range keys {
			if _, d := joined.acquire(rule, key); !d.Allowed {
				t.Errorf("a slot that was released is not free: %+v", d)
			}
		}
		none("taking what was released")
		f.close(f.replicas[0]) // with what ran on it: each key's first and third, and so on
		f.replicas = slices.Delete(f.replicas, 0, 1)
		time.Sleep(5 * time.Second)
		for _, key := range keys {
			if n := len(f.fill(rule, key)); n < 2 || n > 3 {
				t.Errorf("%d slots of the one that left are free", n)
			}
		}
	})
}

// Where the holder can't be asked, the policy decides.
func TestSlotsByPolicy(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(4)
		f.ready(formTime, f.replicas...)
		asker, holder := f.replicas[0], f.replicas[1]
		for _, tt := range []struct {
			policy bucket.FailurePolicy
			runs   int
		}{{bucket.LocalShare, 2}, {bucket.Deny, 0}, {bucket.Allow, 20}} {
			rule := bucket.MustRule("slow "+tt.policy.String(), "10 concurrent", bucket.WithFailurePolicy(tt.policy))
			key := holder.keyOf(rule, 0)
			f.net.Cut(asker.host, holder.host)
			time.Sleep(time.Second)
			runs := 0
			for range 20 {
				began := time.Now()
				_, d := asker.acquire(rule, key)
				if took := time.Since(began); !d.Degraded || took > hitTimeout {
					t.Errorf("%v: %+v after %v", tt.policy, d, took)
				}
				if d.Allowed {
					runs++
				}
			}
			if runs != tt.runs {
				t.Errorf("%v: %d run", tt.policy, runs)
			}
			f.net.HealAll()
			time.Sleep(5 * time.Second)
		}
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		if release, _, err := asker.Acquire(ctx, bucket.MustRule("slow", "1 concurrent"), "k"); !errors.Is(err, context.Canceled) || release == nil {
			t.Errorf("a context that is done: %v", err)
		}
	})
}
