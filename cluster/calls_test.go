package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

// Peek, Refund, Reset, TakeAll and Wait have the holder of the key do it, wherever
// they are called.
func TestTheHolderElsewhereDoesIt(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "2/minute", bucket.WithFailurePolicy(bucket.Deny))
		for _, holder := range []*Node{a, b} {
			key, ctx := keyOf(holder, rule), t.Context()
			left := func(what string, want int64) {
				t.Helper()
				if d, err := a.Peek(ctx, rule, key, 0); err != nil || d.Remaining != want || d.Degraded {
					t.Errorf("%s: %+v, %v; want %d left", what, d, err, want)
				}
			}
			left("at first", 2)
			d, err := a.Take(ctx, rule, key, 2)
			if err != nil || !d.Allowed {
				t.Fatalf("%+v, %v", d, err)
			}
			if err := a.Refund(ctx, rule, key, d.Receipt.Part(1)); err != nil {
				t.Error(err)
			}
			left("one refunded", 1)
			all := []bucket.Charge{{Rule: rule, Key: key, Tokens: 1}, {Rule: rule, Key: key, Tokens: 1}}
			if ds, err := a.TakeAll(ctx, all); err != nil || ds[0].Allowed == ds[1].Allowed {
				t.Errorf("%+v, %v", ds, err)
			}
			left("two of one", 1)
			if err := a.Reset(ctx, rule, key); err != nil {
				t.Error(err)
			}
			left("reset", 2)
			if d, err := a.Wait(ctx, rule, key, 2); err != nil || !d.Allowed {
				t.Errorf("%+v, %v", d, err)
			}
			if _, err := a.Wait(ctx, rule, key, 3); !errors.Is(err, ErrNever) {
				t.Error(err)
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			if _, err := a.Wait(short, rule, key, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
			if d, err := a.Wait(ctx, rule, key, 1); err != nil || !d.Allowed {
				t.Errorf("half a minute later: %+v, %v", d, err)
			}
		}
		if err := errors.Join(a.SetMode(nil, bucket.Off), a.SetMode(rule, bucket.Off)); !errors.Is(err, ErrNilRule) {
			t.Error(err)
		}
		if d, err := a.Peek(t.Context(), rule, "alice", 9); err != nil || !d.Allowed {
			t.Errorf("off: %+v, %v", d, err)
		}
	})
}

// Slots are those of the holder, and while it is silent a share of them.
func TestSlotsOfAHolderElsewhere(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("slow", "2 concurrent")
		key, ctx := keyOf(b, rule), t.Context()
		var releases []func()
		for i := range 3 {
			release, d, err := a.Acquire(ctx, rule, key)
			if err != nil || d.Allowed != (i < 2) || d.Degraded {
				t.Errorf("slot %d: %+v, %v", i, d, err)
			}
			releases = append(releases, release)
		}
		for _, release := range releases {
			release()
		}
		time.Sleep(time.Second)
		net.Host("10.0.0.2").Crash()
		for i := range 2 {
			if _, d, err := a.Acquire(ctx, rule, key); err != nil || d.Allowed != (i < 1) || !d.Degraded {
				t.Errorf("alone, slot %d: %+v, %v", i, d, err)
			}
		}
		if _, _, err := a.Acquire(ctx, bucket.MustRule("api", "2/hour"), key); !errors.Is(err, ErrNotConcurrent) {
			t.Error(err)
		}
		if _, err := a.Take(ctx, rule, key, 1); !errors.Is(err, ErrConcurrent) {
			t.Error(err)
		}
		off := bucket.MustRule("off", "0 concurrent", bucket.WithMode(bucket.Off))
		if _, d, err := a.Acquire(ctx, off, key); err != nil || !d.Allowed {
			t.Errorf("off: %+v, %v", d, err)
		}
	})
}

// The slots that a replica has lent out go with the token when it closes.
func TestSlotsTravelWithTheToken(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("slow", "2 concurrent", bucket.WithFailurePolicy(bucket.Deny))
		key, ctx := keyOf(b, rule), t.Context()
		if _, d, err := a.Acquire(ctx, rule, key); err != nil || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
		if err := b.Close(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if _, d, err := a.Acquire(ctx, rule, key); err != nil || d.Allowed != (i < 1) {
				t.Errorf("slot %d: %+v, %v", i+1, d, err)
			}
		}
	})
}
