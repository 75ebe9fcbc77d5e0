package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

func TestABurstOfChangesMakesOneView(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		every time.Duration // a change, beginning at once
		until time.Duration
		want  time.Duration // when it has settled
	}{
		{"one change", ms, 0, 50 * ms},
		{"a burst", 20 * ms, 300 * ms, 350 * ms},
		{"changes without an end", 40 * ms, time.Hour, 500 * ms},
		{"a change a little later makes another", 51 * ms, 51 * ms, 50 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{gossip: &gossip{kick: make(chan struct{}, 1), living: map[string]living{}}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for began := time.Now(); time.Since(began)+tt.every <= tt.until && ctx.Err() == nil; {
						sleep(ctx, tt.every)
						n.gossip.note("somebody", nil)
						n.gossip.note("somebody else", nil) // in one go
					}
				}()
				began := time.Now()
				n.settle(ctx)
				if took := time.Since(began); took != tt.want {
					t.Errorf("settled after %v, want %v", took, tt.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n := &Node{gossip: &gossip{kick: make(chan struct{}, 1)}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		began := time.Now()
		n.settle(ctx)
		if took := time.Since(began); took != 10*ms {
			t.Errorf("gave up after %v, want 10ms", took)
		}
	})
}

// bubble runs a test on a network of its own, in which time takes none.
func bubble(t *testing.T, f func(t *testing.T, n *simnet.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(simnet.Drain)
		f(t, simnet.New(simnet.Options{}))
	})
}

// on is the configuration of a replica on a machine of a network, whose seed is
// 10.0.0.1.
func on(n *simnet.Net, ip, name string) Config {
	return Config{Name: name, Bind: ":7946", Seeds: []string{"10.0.0.1:7946"}, Insecure: true, Network: n.Host(ip)}
}

// eventually waits until something has become true.
func eventually(t *testing.T, limit time.Duration, what string, happened func() bool) {
	t.Helper()
	for began := time.Now(); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// memberNames returns the names of the members, as "a b c".
func (n *Node) memberNames() string {
	var names []string
	for _, m := range n.Members() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestManyJoinsMakeFewViews(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		var log bytes.Buffer // written to by one goroutine after the other
		c := on(net, "10.0.0.1", "a")
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		first := start(t, c)
		for i := range 8 {
			start(t, on(net, fmt.Sprint("10.0.0.", i+2), string(rune('b'+i))))
		}
		eventually(t, time.Second, "all are there", func() bool { return first.memberNames() == "a b c d e f g h i" })
		synctest.Wait()
		if views := strings.Count(log.String(), "view of the cluster changed"); views > 5 { // one alone, and what came in a burst
			t.Errorf("%d views were made:\n%s", views, &log)
		}
	})
}

// A peer that speaks memberlist, but no meta that can be read, is no member.
func TestAStrangerIsNoMember(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		var log bytes.Buffer
		c := on(net, "10.0.0.1", "a")
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		a, b := start(t, c), start(t, on(net, "10.0.0.2", "b"))
		eventually(t, time.Second, "both are there", func() bool { return a.memberNames() == "a b" && b.memberNames() == "a b" })

		m := memberlist.DefaultLANConfig()
		m.Name, m.Label, m.Logger = "stranger", defaultCluster, gossipLogger(slog.New(slog.DiscardHandler))
		transport, err := net.Host("10.0.0.3").Gossip(":7946")
		if err != nil {
			t.Fatal(err)
		}
		m.Transport = transport
		list, err := memberlist.Create(m)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = list.Shutdown() })
		if _, err := list.Join([]string{"10.0.0.1:7946"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if a.memberNames() != "a b" || b.memberNames() != "a b" {
			t.Errorf("members %q and %q", a.memberNames(), b.memberNames())
		}
		if !strings.Contains(log.String(), "meta can't be read") || !strings.Contains(log.String(), "stranger") {
			t.Errorf("the log doesn't name it:\n%s", &log)
		}
	})
}

// Changes that don't concern a member leave the stream to it alone. The way to
// one that has gone is closed a while later.
func TestTheWayToAMemberIsKept(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		way := a.view.Load().boot(b.gossip.boot).peer
		c := start(t, on(net, "10.0.0.3", "c"))
		eventually(t, time.Second, "all are there", func() bool { return a.memberNames() == "a b c" })
		if a.view.Load().boot(b.gossip.boot).peer != way {
			t.Error("another stream to b, because c came")
		}
		gone := a.view.Load().boot(c.gossip.boot).peer
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, time.Second, "c has gone", func() bool { return a.memberNames() == "a b" })
		if a.view.Load().boot(b.gossip.boot).peer != way || !way.Condition().Connected {
			t.Error("another stream to b, because c went")
		}
		ask := func() error {
			_, err := a.askMember(&member{peer: gone}, &transport.Hit{Rule: bucket.MustRule("api", "1/second")}, a.now())
			return err
		}
		if err := ask(); errors.Is(err, transport.ErrClosed) {
			t.Error("the way to c was closed at once")
		}
		time.Sleep(retireTime + time.Millisecond)
		if err := ask(); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("the way to c is still open: %v", err)
		}
	})
}
