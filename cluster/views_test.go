package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/test/simnet"
)

// drop has n believe that gossip has given up another, and nobody else. undo takes it
// back.
func (n *Node) drop(other *Node) (undo func()) {
	boot := other.gossip.boot
	was := n.gossip.everybody()[boot]
	n.gossip.note(boot, nil)
	return func() { n.gossip.note(boot, &was) }
}

// nodes runs a test on that many replicas, named a, b, c and so on, that are ready.
func nodes(t *testing.T, count int, f func(t *testing.T, net *simnet.Net, ns []*Node)) {
	t.Helper()
	bubble(t, func(t *testing.T, net *simnet.Net) {
		var ns []*Node
		for i := range count {
			ns = append(ns, start(t, on(net, fmt.Sprint("10.0.0.", i+1), string(rune('a'+i)))))
		}
		eventually(t, 3*time.Second, "all are ready", func() bool {
			for _, n := range ns {
				if len(n.Members()) != count || !n.Ready() {
					return false
				}
			}
			return true
		})
		f(t, net, ns)
	})
}

// One of the survivors learns late of a crash, so nobody may take over meanwhile. The
// standby of each key is its next owner as well, for those who have learnt and for
// those who haven't: it decides by its copy all the time.
func TestTheHeirDecidesWhileViewsDiffer(t *testing.T) {
	nodes(t, 5, func(t *testing.T, net *simnet.Net, ns []*Node) {
		victim := ns[4]
		rule := bucket.MustRule("api", "5/day", bucket.WithFailurePolicy(bucket.Deny))
		var keys []string
		for i := 0; len(keys) < 30; i++ {
			if key := fmt.Sprint("key ", i); victim.Owner(rule, key) == victim.Name() {
				keys = append(keys, key)
			}
		}
		ask := func(n *Node, key string, want bool) {
			t.Helper()
			if d, err := n.Take(t.Context(), rule, key, 1); err != nil || d.Allowed != want {
				t.Fatalf("%s at %s: %+v, %v", key, n.Name(), d, err)
			}
		}
		for _, key := range keys {
			ask(ns[0], key, true)
		}
		time.Sleep(3 * replicateEvery)
		net.Host("10.0.0.5").Kill()
		ns[0].drop(victim)
		ns[1].drop(victim)
		for i := range 4 { // for half a second; gossip takes over one
			time.Sleep(120 * time.Millisecond)
			if len(ns[0].Members()) != 4 || len(ns[2].Members()) != 5 {
				t.Fatal("the views don't differ")
			}
			for j, key := range keys {
				ask(ns[(i+j)%4], key, true)
			}
		}
		for j, key := range keys { // five of five were taken
			ask(ns[j%4], key, false)
		}
	})
}

// One node alone suspects a holder that lives. Nobody decides besides the holder, and
// nobody fails to reach it.
func TestOneNodeSuspectsAHolder(t *testing.T) {
	nodes(t, 4, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		rule := bucket.MustRule("api", "40/day", bucket.WithFailurePolicy(bucket.Deny))
		undo := ns[0].drop(ns[1])
		passed := map[string]int{}
		for i := range 800 {
			key := fmt.Sprint("key ", i%16)
			d, err := ns[i/16%4].Take(t.Context(), rule, key, 1)
			if err != nil || d.Degraded {
				t.Fatalf("%s: %+v, %v", key, d, err)
			}
			if d.Allowed {
				passed[key]++
			}
			time.Sleep(5 * time.Millisecond)
			if i == 600 {
				undo()
			}
		}
		for key, n := range passed {
			if n != 40 {
				t.Errorf("%s: %d passed of 40", key, n)
			}
		}
		for _, n := range ns {
			if m := n.Metrics(); m.Handoff.Forced > 0 || m.Handoff.Doubled > 0 {
				t.Errorf("%s: %+v", n.Name(), m)
			}
		}
	})
}

// Two nodes each believe for ten seconds that the other is gone. Tokens don't go to
// and fro between them, and hits find their holder without going round.
func TestSwappedViews(t *testing.T) {
	nodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		rule := bucket.MustRule("api", "1000000/day", bucket.WithFailurePolicy(bucket.Deny))
		ns[0].drop(ns[1])
		ns[1].drop(ns[0])
		const seconds, look = 10, 4 * time.Millisecond
		var held [3][ring.Partitions]bool
		releases := make([]int, ring.Partitions)
		slow, hits := 0, 0
		for until := time.Now().Add(seconds * time.Second); time.Now().Before(until); hits++ {
			for i, n := range ns {
				for p := range ring.Partitions {
					holds := n.parts.holds(p)
					if held[i][p] && !holds {
						releases[p]++
					}
					held[i][p] = holds
				}
			}
			began := time.Now()
			d, err := ns[hits%3].Take(t.Context(), rule, fmt.Sprint("key ", hits%100), 1)
			if err != nil || d.Degraded || !d.Allowed {
				t.Fatalf("hit %d: %+v, %v", hits, d, err)
			}
			if time.Since(began) > 3*2*simnet.DefaultLatency { // three frames and their answers
				slow++
			}
			time.Sleep(look)
		}
		for p, n := range releases {
			if n > 4*seconds {
				t.Errorf("partition %d was released %d times in %d s", p, n, seconds)
			}
		}
		if slow > hits/100 {
			t.Errorf("%d of %d hits took more than three frames", slow, hits)
		}
	})
}
