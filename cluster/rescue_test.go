package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

// shaky is a log handler that panics.
type shaky struct{ slog.Handler }

func (shaky) Handle(context.Context, slog.Record) error { panic("log") }

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
			err := m.peer.Ask(&transport.Hit{}, ns[0].now()+int64(time.Second), new(transport.Answer))
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
