package test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// everywhere calls f once for each pair of an asking and an owning replica of a
// fleet of three, and of a node that stands alone.
func everywhere(t *testing.T, test func(f *fleet, asker *replica, key func(*bucket.Rule, int) string)) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		for _, asker := range f.replicas {
			for i, owner := range f.replicas {
				test(f, asker, func(r *bucket.Rule, n int) string { return owner.keyOf(r, 3*n+i) })
			}
		}
	})
}

func TestPeekTakesNothing(t *testing.T) {
	everywhere(t, func(f *fleet, asker *replica, key func(*bucket.Rule, int) string) {
		rule := bucket.MustRule("peek "+asker.Name(), "3/hour; penalty 5/hour")
		k := key(rule, 0)
		for taken := range int64(5) {
			for range 3 {
				d, err := asker.Peek(f.Context(), rule, k, 1)
				if err != nil || d.Allowed != (taken < 3) || d.Degraded || d.Receipt != (bucket.Receipt{}) {
					f.Errorf("peek after %d: %+v, %v", taken, d, err)
				}
			}
			if d := asker.ask(rule, k, 1); d.Allowed != (taken < 3) {
				f.Errorf("take after %d: %+v", taken, d)
			}
		}
	})
}

func TestRefundsAndResetsReachTheHolder(t *testing.T) {
	everywhere(t, func(f *fleet, asker *replica, key func(*bucket.Rule, int) string) {
		rule := bucket.MustRule("refund "+asker.Name(), "5/hour; 7/day fixed")
		k := key(rule, 0)
		first := asker.ask(rule, k, 3)
		second := asker.ask(rule, k, 2)
		if d := asker.ask(rule, k, 1); !first.Allowed || !second.Allowed || d.Allowed {
			f.Fatalf("%+v, %+v, %+v", first, second, d)
		}
		if err := asker.Refund(f.Context(), rule, k, first.Receipt.Part(2)); err != nil {
			f.Error(err)
		}
		if d := asker.ask(rule, k, 3); d.Allowed {
			f.Errorf("3 after a refund of 2: %+v", d)
		}
		if d := asker.ask(rule, k, 2); !d.Allowed {
			f.Errorf("2 after a refund of 2: %+v", d)
		}
		if err := asker.Reset(f.Context(), rule, k); err != nil {
			f.Error(err)
		}
		if d := f.replicas[0].ask(rule, k, 5); !d.Allowed {
			f.Errorf("5 after a reset: %+v", d)
		}
		if err := asker.Refund(f.Context(), rule, k, second.Receipt); err != nil {
			f.Error(err)
		}
		if d := asker.ask(rule, k, 1); d.Allowed {
			f.Errorf("a receipt from before a reset counted: %+v", d)
		}
	})
}

// A key that was reset stays so when its holder crashes and when it moves.
func TestAResetReachesTheCopies(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("reset", "2/hour")
		holder := f.replicas[0]
		k := holder.keyOf(rule, 0)
		holder.ask(rule, k, 2)
		time.Sleep(time.Second) // the standby has it
		began := time.Now()
		if err := f.replicas[1].Reset(f.Context(), rule, k); err != nil || time.Since(began) > time.Second {
			f.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Second)
		holder.kill()
		f.replicas = f.but(holder)
		if d := f.replicas[0].ask(rule, k, 2); !d.Allowed {
			f.Errorf("after a crash: %+v", d)
		}
		if d := f.replicas[1].ask(rule, k, 1); d.Allowed {
			f.Errorf("and once more: %+v", d)
		}
		if err := f.replicas[1].Reset(f.Context(), rule, k); !errors.Is(err, cluster.ErrNoHolder) {
			f.Errorf("a reset that can't reach the dead: %v", err)
		}
	})
}

func TestAllOrNothingOverKeys(t *testing.T) {
	everywhere(t, func(f *fleet, asker *replica, key func(*bucket.Rule, int) string) {
		user, address := bucket.MustRule("user "+asker.Name(), "2/hour"), bucket.MustRule("address "+asker.Name(), "3/hour")
		charges := []bucket.Charge{{Rule: user, Key: key(user, 0), Tokens: 1}, {Rule: address, Key: key(address, 1), Tokens: 1}}
		for i := range 4 {
			ds, err := asker.TakeAll(f.Context(), charges)
			if err != nil || len(ds) != 2 || ds[0].Allowed != (i < 2) || !ds[1].Allowed {
				f.Errorf("call %d: %+v, %v", i, ds, err)
			}
		}
		for i, left := range []int64{0, 1} { // of the two refusals nothing stayed charged
			d, err := asker.Peek(f.Context(), charges[i].Rule, charges[i].Key, 0)
			if err != nil || d.Remaining != left {
				f.Errorf("%v: %d left, want %d, %v", charges[i].Rule, d.Remaining, left, err)
			}
		}
		bad := append(charges[1:2:2], bucket.Charge{Rule: user, Key: "k", Tokens: -1})
		if _, err := asker.TakeAll(f.Context(), bad); !errors.Is(err, cluster.ErrBadCost) {
			f.Errorf("a negative cost: %v", err)
		}
		if d := asker.ask(address, charges[1].Key, 1); !d.Allowed {
			f.Errorf("after an error something stays charged: %+v", d)
		}
	})
}

// Those who wait are served in their order, as soon as there is something.
func TestWaitersAreServedInOrder(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("wait", "1/second")
		asker, key := f.replicas[0], f.replicas[1].keyOf(bucket.MustRule("wait", "1/second"), 0)
		began := time.Now()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				d, err := asker.Wait(f.Context(), rule, key, 1)
				took := time.Since(began)
				if late := took - time.Duration(i)*time.Second; err != nil || !d.Allowed || late < 0 || late > 20*time.Millisecond {
					f.Errorf("waiter %d: %+v, %v after %v", i, d, err, took)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4 5]" {
			f.Errorf("served in the order %v", order)
		}

		if d, err := asker.Wait(f.Context(), rule, key, 2); !errors.Is(err, cluster.ErrNever) || d.Allowed {
			f.Errorf("more than fits: %+v, %v", d, err)
		}
		ctx, cancel := context.WithTimeout(f.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		if d, err := asker.Wait(ctx, rule, key, 1); !errors.Is(err, context.DeadlineExceeded) || d.Allowed || time.Since(began) > 10*time.Millisecond {
			f.Errorf("a deadline that is too short: %+v, %v after %v", d, err, time.Since(began))
		}
	})
}

// Whoever stands behind another is told at once what waiting can't change, and what
// was reset meanwhile is there for those who wait.
func TestWaitersHearOfHopeAndOfNone(t *testing.T) {
	everywhere(t, func(f *fleet, asker *replica, key func(*bucket.Rule, int) string) {
		rule := bucket.MustRule("wait "+asker.Name(), "2/hour; penalty 3/day")
		k := key(rule, 0)
		asker.ask(rule, k, 2)
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if d, err := asker.Wait(f.Context(), rule, k, 1); err != nil || !d.Allowed {
					f.Errorf("%+v, %v after %v", d, err, time.Since(began))
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		if d, err := asker.Wait(f.Context(), rule, k, 3); !errors.Is(err, cluster.ErrNever) || d.RetryAfter != bucket.Never {
			f.Errorf("more than fits: %+v, %v", d, err)
		}
		ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
		defer cancel()
		if d, err := asker.Wait(ctx, rule, k, 1); !errors.Is(err, context.DeadlineExceeded) || d.RetryAfter < 29*time.Minute {
			f.Errorf("a deadline that is too short: %+v, %v", d, err)
		}
		cancelled, cancel := context.WithCancel(f.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := asker.Wait(cancelled, rule, k, 1); !errors.Is(err, context.Canceled) {
			f.Errorf("given up: %v", err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			f.Errorf("told after %v", took)
		}
		time.Sleep(time.Minute) // and looking again is no refusal
		if d, err := asker.Peek(f.Context(), rule, k, 1); err != nil || d.Limit != rule.Limits()[0] {
			f.Errorf("%+v, %v", d, err)
		}
		if err := asker.Reset(f.Context(), rule, k); err != nil {
			f.Error(err)
		}
		reset := time.Now()
		wg.Wait()
		if took := time.Since(reset); took > time.Second {
			f.Errorf("served %v after the reset", took)
		}
	})
}

// Closing a node ends the waits on it.
func TestCloseEndsWaits(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		r, rule := f.replicas[0], bucket.MustRule("wait", "1/hour")
		r.ask(rule, "key", 1)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := r.Wait(context.Background(), rule, "key", 1); !errors.Is(err, cluster.ErrClosed) {
					f.Errorf("%v", err)
				}
			})
		}
		time.Sleep(time.Second)
		if err := r.Close(f.Context()); err != nil {
			f.Error(err)
		}
		began := time.Now()
		wg.Wait()
		if took := time.Since(began); took > time.Second {
			f.Errorf("after %v", took)
		}
	})
}

func TestModesOverReplicas(t *testing.T) {
	everywhere(t, func(f *fleet, asker *replica, key func(*bucket.Rule, int) string) {
		rule := bucket.MustRule("mode "+asker.Name(), "1/hour")
		k := key(rule, 0)
		asker.ask(rule, k, 1)
		for mode, want := range map[bucket.Mode]bucket.Decision{
			bucket.Enforce: {},
			bucket.Shadow:  {Allowed: true, WouldRefuse: true},
			bucket.Off:     {Allowed: true},
		} {
			if err := asker.SetMode(rule, mode); err != nil {
				f.Error(err)
			}
			if d := asker.ask(rule, k, 1); d.Allowed != want.Allowed || d.WouldRefuse != want.WouldRefuse {
				f.Errorf("%v: %+v", mode, d)
			}
		}
	})
}
