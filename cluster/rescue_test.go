package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

// shaky is a log handler that panics.
type shaky struct{ slog.Handler }

func (shaky) Handle(context.Context, slog.Record) error { panic("log") }

// shakier is one that panics when it is asked whether it wants to know.
type shakier struct{ shaky }

func (shakier) Enabled(context.Context, slog.Level) bool { panic("enabled") }

func (s shaky) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s shaky) WithGroup(string) slog.Handler      { return s }

// still is a node of its own, without goroutines.
func still(t *testing.T, c Config) *Node {
	t.Helper()
	stores := bucket.StoreConfig{ID: 1}
	n := &Node{
		config: c.withDefaults(), started: time.Now(),
		store: bucket.NewStore(stores), shares: bucket.NewStore(stores), inflight: newInflight(), hot: newHotKeys(),
	}
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// A panic on the way of a decision is the failure policy's, counted and logged.
func TestAPanicIsDecidedByTheFailurePolicy(t *testing.T) {
	for _, broken := range []struct {
		name  string
		shake func(*Node)
		share bool // a share can still be decided
	}{
		{"the store", func(n *Node) { n.store = nil }, true},
		{"the partitions", func(n *Node) { n.parts = nil }, true},
		{"everything", func(n *Node) { n.store, n.shares, n.parts = nil, nil, nil }, false},
	} {
		t.Run(broken.name, func(t *testing.T) {
			n := still(t, Config{Log: slog.New(shaky{slog.DiscardHandler})})
			broken.shake(n)
			for _, tt := range []struct {
				policy  bucket.FailurePolicy
				allowed bool
			}{{bucket.LocalShare, true}, {bucket.Allow, true}, {bucket.Deny, false}} {
				rule := bucket.MustRule("api", "1/hour", bucket.WithFailurePolicy(tt.policy))
				before := n.panics.Load()
				d, err := n.Take(t.Context(), rule, "alice", 1)
				if err != nil || d.Allowed != tt.allowed || !d.Degraded {
					t.Errorf("%v: %+v, %v", tt.policy, d, err)
				}
				if n.panics.Load() == before {
					t.Errorf("%v: not counted", tt.policy)
				}
				if d, _ := n.Take(t.Context(), rule, "alice", 1); tt.policy == bucket.LocalShare && d.Allowed == broken.share {
					t.Errorf("the second: %+v", d)
				}
			}
			if err := n.Refund(t.Context(), bucket.MustRule("api", "1/hour"), "alice", bucket.Receipt{}); err != nil {
				t.Errorf("nothing to refund: %v", err)
			}
		})
	}
}

// Looking takes nothing, also where it panics and the failure policy says what there is.
func TestAPanicWhilePeekingTakesNothing(t *testing.T) {
	n := still(t, Config{})
	n.parts = nil
	rule := bucket.MustRule("api", "1/hour")
	for range 3 {
		if d, err := n.Peek(t.Context(), rule, "alice", 1); err != nil || !d.Allowed || !d.Degraded {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if d, err := n.Take(t.Context(), rule, "alice", 1); err != nil || !d.Allowed {
		t.Errorf("taken after looking: %+v, %v", d, err)
	}
}

// A panic on the way of anything else that a caller may ask is an error at worst, that
// of a slot the failure policy's; none is in the caller's way, nor in a goroutine where
// it would end the process.
func TestAPanicIsNoCallersAffair(t *testing.T) {
	for _, policy := range []bucket.FailurePolicy{bucket.LocalShare, bucket.Deny} {
		rule := bucket.MustRule("api", "5/hour", bucket.WithFailurePolicy(policy))
		slots := bucket.MustRule("slots", "1 concurrent", bucket.WithFailurePolicy(policy))
		var receipt bucket.Receipt
		for name, call := range map[string]func(ctx context.Context, n *Node) (allowed bool, err error){
			"Peek": func(ctx context.Context, n *Node) (bool, error) {
				d, err := n.Peek(ctx, rule, "alice", 1)
				return d.Allowed, err
			},
			"Wait": func(ctx context.Context, n *Node) (bool, error) {
				d, err := n.Wait(ctx, rule, "alice", 1)
				if policy == bucket.Deny && err != nil {
					err = nil // it says why it doesn't wait
				}
				return d.Allowed, err
			},
			"TakeAll": func(ctx context.Context, n *Node) (bool, error) {
				ds, err := n.TakeAll(ctx, []bucket.Charge{{Rule: rule, Key: "alice", Tokens: 1}, {Rule: rule, Key: "bob", Tokens: 1}})
				return ds[0].Allowed && ds[1].Allowed, err
			},
			"Acquire": func(ctx context.Context, n *Node) (bool, error) {
				release, d, err := n.Acquire(ctx, slots, "alice")
				release()
				return d.Allowed, err
			},
			"Refund": func(ctx context.Context, n *Node) (bool, error) {
				err := n.Refund(ctx, rule, "alice", receipt)
				return policy != bucket.Deny, unless(err, ErrNoHolder)
			},
			"Reset": func(ctx context.Context, n *Node) (bool, error) {
				err := n.Reset(ctx, rule, "alice")
				return policy != bucket.Deny, unless(err, ErrNoHolder)
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			n := still(t, Config{Log: slog.New(shakier{shaky{slog.DiscardHandler}})})
			d, err := n.Take(ctx, rule, "alice", 1)
			if err != nil {
				t.Fatal(err)
			}
			receipt = d.Receipt
			n.store, n.inflight, n.lines.keys = nil, nil, nil
			allowed, err := call(ctx, n)
			if err != nil || allowed != (policy != bucket.Deny) {
				t.Errorf("%s, %v: allowed %v, %v", name, policy, allowed, err)
			}
			if n.panics.Load() == 0 {
				t.Errorf("%s, %v: not counted", name, policy)
			}
			cancel()
		}
	}
}

// unless is nil if err is what was expected, and else says what it was.
func unless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return fmt.Errorf("%w instead of %w", err, expected)
}

// A panic while a slot is given back isn't its request's affair.
func TestAPanicWhileReleasing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := still(t, Config{})
		release, d, err := n.Acquire(t.Context(), bucket.MustRule("slots", "1 concurrent"), "alice")
		if err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		n.inflight = nil
		release()
		release()
		if n.panics.Load() != 1 {
			t.Errorf("%d panics, want 1", n.panics.Load())
		}
	})
}

// A peer's hit or call at which this replica panics is answered, and the next as well.
func TestAPanicIsNoPeersAffair(t *testing.T) {
	n := still(t, Config{})
	store := n.store
	n.store = nil
	rule := bucket.MustRule("api", "1/hour")
	hit := transport.Hit{Digest: store.Digest(rule, "alice"), Rule: rule, Tokens: 1}
	var answer transport.Answer
	(answering{n}).Decide(&hit, n.now(), &answer)
	if !answer.NotHeld {
		t.Errorf("%+v", answer)
	}
	reset, _ := rule.AppendBinary(appendDigest(nil, hit.Digest))
	if _, err := (answering{n}).Call(t.Context(), 7, callReset, reset); !errors.Is(err, errPanic) {
		t.Errorf("%v", err)
	}
	n.store = store
	if _, err := (answering{n}).Call(t.Context(), 7, callReset, reset); err != nil {
		t.Error(err)
	}
}

// What the transport recovers from is counted as any other panic, at both ends.
func TestPanicsOfTheTransportCount(t *testing.T) {
	nodes(t, 2, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		for _, m := range ns[0].view.Load().members {
			if m.peer == nil {
				continue
			}
			_, err := ns[0].askMember(m, &transport.Hit{}, ns[0].now()+int64(time.Second))
			if !errors.Is(err, transport.ErrPanic) {
				t.Errorf("a hit without a rule: %v", err)
			}
		}
		any(answering{ns[1]}).(transport.Witness).Panicked("testing", "one")
		for i, n := range ns {
			if panics := n.Metrics().Panics; panics != 1 {
				t.Errorf("replica %d counts %d panics, want 1", i, panics)
			}
		}
	})
}

// A goroutine that panics begins anew, until the node is closed.
func TestAGoroutineBeginsAnew(t *testing.T) {
	nodes(t, 1, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		ctx, cancel := context.WithCancel(t.Context())
		n, times, done := ns[0], 0, make(chan struct{})
		n.tend(ctx, "testing", func(ctx context.Context) {
			if times++; times <= 3 {
				panic("again")
			}
			defer close(done)
			<-ctx.Done()
		})
		began := time.Now()
		time.Sleep(4 * againTime)
		cancel()
		<-done
		if times != 4 || n.Metrics().Panics != 3 || time.Since(began) != 4*againTime {
			t.Errorf("%d times, %d panics", times, n.Metrics().Panics)
		}
	})
}

// A panic of the user's Network is an error of the connection alone.
func TestANetworkThatPanics(t *testing.T) {
	n := start(t, Config{Network: panicking{}})
	if _, err := n.dial(t.Context(), "x"); !errors.Is(err, errPanic) {
		t.Errorf("%v", err)
	}
}

type panicking struct{ Network }
