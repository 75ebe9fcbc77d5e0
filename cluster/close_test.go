package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

// Every call of Close returns what the first does, and calls that are under way then
// are answered.
func TestCloseTwiceUnderLoad(t *testing.T) {
	nodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		rule := bucket.MustRule("api", "1000000/hour", bucket.WithFailurePolicy(bucket.Deny))
		n, keys := ns[0], []string{}
		for _, n := range ns {
			keys = append(keys, keyOf(n, rule))
		}
		var wg sync.WaitGroup
		for _, key := range keys {
			wg.Go(func() {
				for {
					d, err := n.Take(t.Context(), rule, key, 1)
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil || !d.Allowed || d.Degraded {
						t.Errorf("%s: %+v, %v", key, d, err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		for range 3 {
			wg.Go(func() {
				if err := n.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if n.Ready() {
					t.Error("closed, and ready")
				}
			})
		}
		wg.Wait()
		for _, other := range ns[1:] {
			if m := other.Metrics(); m.Handoff.Forced+m.Handoff.Doubled+m.Handoff.Fenced > 0 {
				t.Errorf("%s: %+v", other.Name(), m)
			}
		}
	})
}

// Two that close at once hand over to the third; all at once have nobody to.
func TestClosingTogether(t *testing.T) {
	for _, count := range []int{2, 3} {
		nodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
			rule := bucket.MustRule("api", "5/day")
			var keys []string
			for _, n := range ns {
				keys = append(keys, keyOf(n, rule))
				if d, err := n.Take(t.Context(), rule, keys[len(keys)-1], 5); err != nil || !d.Allowed {
					t.Fatalf("%+v, %v", d, err)
				}
			}
			began := time.Now()
			var wg sync.WaitGroup
			for _, n := range ns[:count] {
				wg.Go(func() {
					if err := n.Close(context.Background()); err != nil {
						t.Errorf("%s: %v", n.Name(), err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(began); took > closeTime/2 {
				t.Errorf("%d closed after %v", count, took)
			}
			for _, key := range keys[:len(keys)*(3-count)] {
				if d, err := ns[2].Take(t.Context(), rule, key, 1); err != nil || d.Allowed || d.Degraded {
					t.Errorf("%s: %+v, %v", key, d, err)
				}
			}
		})
	}
}

// A replica that is cut off doesn't wait for others in vain, nor beyond its context.
func TestClosingInVain(t *testing.T) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for what, c := range map[string]struct {
		ctx   context.Context
		limit time.Duration
		want  error
	}{
		"when the other crashed": {context.Background(), closeTime / 2, nil},
		"with no time":           {done, 5 * time.Second, context.Canceled},
		"with little":            {nil, 6 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(what, func(t *testing.T) {
			nodes(t, 2, func(t *testing.T, net *simnet.Net, ns []*Node) {
				net.Host("10.0.0.2").Crash()
				ctx := c.ctx
				if ctx == nil {
					short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
					defer cancel()
					ctx = short
				}
				began := time.Now()
				if err := ns[0].Close(ctx); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if took := time.Since(began); took > c.limit {
					t.Errorf("after %v", took)
				}
			})
		})
	}
}

// A replica that hasn't met anybody yet has nothing to hand over.
func TestClosingBeforeItHasJoined(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		start(t, on(net, "10.0.0.1", "a"))
		b := start(t, on(net, "10.0.0.2", "b"))
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := b.Take(t.Context(), bucket.MustRule("api", "5/day"), "alice", 1); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// The metrics say who can't be reached and who sees other members.
func TestMetricsOfOthers(t *testing.T) {
	nodes(t, 3, func(t *testing.T, net *simnet.Net, ns []*Node) {
		n := ns[0]
		eventually(t, 2*time.Second, "all is copied", func() bool { return n.Metrics().Handoff.Uncopied == 0 })
		m := n.Metrics()
		if m.Members != 3 || m.Unreachable+m.Disagreeing+m.Handoff.Missing+m.Handoff.Sending+m.Handoff.Doubtful > 0 || m.Handoff.Held == 0 {
			t.Errorf("%+v", m)
		}
		undo := ns[1].drop(ns[2])
		eventually(t, 2*time.Second, "one sees two members", func() bool { return n.Metrics().Disagreeing == 1 })
		undo()
		eventually(t, 2*time.Second, "it sees three again", func() bool { return n.Metrics().Disagreeing == 0 })
		net.Host("10.0.0.3").Crash()
		eventually(t, time.Second, "one is silent", func() bool { return n.Metrics().Unreachable == 1 })
	})
}
