package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/test/simnet"
)

// How many nodes the largest cluster of these tests has. With 100 they take a minute
// and some gigabytes, and ten times that under the race detector: .ci/scale does so
// once, without it.
var nodes = flag.Int("nodes", 10, "`number` of nodes of the largest cluster")

const (
	agreeTime  = 5 * time.Second  // until all see the same table, after a change
	settleTime = 10 * time.Second // until every partition is where that wants it, with its copies
	restTime   = 10 * time.Second // for which traffic is counted
)

// crowd is a cluster of many nodes in one bubble.
type crowd struct {
	*testing.T
	net   *simnet.Net
	meter *meter
	nodes []*cluster.Node
	hosts []*simnet.Host
}

func gather(t *testing.T, f func(c *crowd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(simnet.Drain)
		f(&crowd{T: t, net: simnet.New(simnet.Options{Seed: 1}), meter: &meter{}})
	})
}

// start starts n more nodes at once, each on a host of its own.
func (c *crowd) start(n int) {
	c.Helper()
	for range n {
		i := len(c.nodes)
		host := c.net.Host(fmt.Sprintf("10.0.%d.%d", i/200, i%200+1))
		node, err := cluster.Start(c.Context(), cluster.Config{
			Name:     fmt.Sprintf("node-%03d", i),
			Bind:     "0.0.0.0:7946",
			Seeds:    []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"},
			Insecure: true, // a network of memory keeps strangers out
			Network:  metered{host, c.meter},
		})
		if err != nil {
			c.Fatal(err)
		}
		c.nodes, c.hosts = append(c.nodes, node), append(c.hosts, host)
		c.Cleanup(func() { crash(node) }) // farewells of so many would take long
	}
}

func crash(n *cluster.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.Close(ctx) // which says that nobody was told
}

// kill ends the programs of n nodes, one in the middle and its neighbours.
func (c *crowd) kill(n int) {
	first := (len(c.nodes) - n) / 2
	for i := first; i < first+n; i++ {
		c.hosts[i].Kill()
	}
	for _, node := range c.nodes[first : first+n] {
		crash(node)
	}
	c.nodes, c.hosts = slices.Delete(c.nodes, first, first+n), slices.Delete(c.hosts, first, first+n)
}

// settle waits until all see the same cluster, and have of it what they should, and
// says how long that took since the change and what it cost.
func (c *crowd) settle(change string) {
	c.Helper()
	began, cpu, sent := time.Now(), cpuTime(), c.meter.read()
	agreed := c.await("agree", began, agreeTime, func(n *cluster.Node) bool {
		return len(n.Members()) == len(c.nodes) && n.TableHash() == c.nodes[0].TableHash()
	})
	placed := c.await("have their partitions", began, settleTime, func(n *cluster.Node) bool {
		h := n.Metrics().Handoff
		return h.Missing+h.Sending+h.Doubtful == 0
	})
	copied := c.await("have copied them", began, settleTime, func(n *cluster.Node) bool {
		return n.Metrics().Handoff.Uncopied == 0
	})
	held, forced := 0, int64(0)
	for _, n := range c.nodes {
		h := n.Metrics().Handoff
		held, forced = held+h.Held, forced+h.Forced
	}
	if held != ring.Partitions {
		c.Errorf("%d partitions are held, of %d", held, ring.Partitions)
	}
	t := c.meter.read().since(sent)
	c.Logf("%s: %d nodes agree after %v, have every partition after %v, and its copy after %v; %d were forced; %d MB were sent; %.1f s of CPU, %d MB of memory, %d goroutines",
		change, len(c.nodes), agreed, placed, copied, forced, (t.gossip+t.peers)>>20, (cpuTime() - cpu).Seconds(), memoryOf()>>20, runtime.NumGoroutine())
}

// await waits until something is true of every node, and returns how long that took
// since it began.
func (c *crowd) await(what string, began time.Time, limit time.Duration, holds func(*cluster.Node) bool) time.Duration {
	c.Helper()
	not := func(n *cluster.Node) bool { return !holds(n) }
	for slices.ContainsFunc(c.nodes, not) {
		if time.Since(began) > limit {
			n := c.nodes[slices.IndexFunc(c.nodes, not)]
			c.Fatalf("not all %s within %v: %s sees %d members: %+v", what, limit, n.Name(), len(n.Members()), n.Metrics())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// rest logs what a node sends where nothing happens.
func (c *crowd) rest() {
	c.Helper()
	time.Sleep(2 * time.Second) // the last news has been told
	began, cpu := c.meter.read(), cpuTime()
	time.Sleep(restTime)
	t := c.meter.read().since(began)
	each := func(count int64) float64 { return float64(count) / float64(len(c.nodes)) / restTime.Seconds() }
	c.Logf("at rest, %3d nodes: each sends %6.1f packets and %8.0f bytes of gossip a second, %6.1f pieces and %8.0f bytes to its peers; %.1f ms of CPU a second",
		len(c.nodes), each(t.packets), each(t.gossip), each(t.writes), each(t.peers), 1000*(cpuTime()-cpu).Seconds()/float64(len(c.nodes))/restTime.Seconds())
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func memoryOf() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

// A tenth of a cluster joins at once, and then some nodes crash at once. In time
// that only counts when all are idle, so it says what the protocols take, and not
// how fast the machine is.
func TestManyNodes(t *testing.T) {
	gather(t, func(c *crowd) {
		joiners := max(*nodes/10, 1)
		c.start(*nodes - joiners)
		c.settle("the first start")
		c.start(joiners)
		c.settle(fmt.Sprint(joiners, " joins"))
		c.rest()
		crashes := max(*nodes/20, 1)
		c.kill(crashes)
		c.settle(fmt.Sprint(crashes, " crashes"))
	})
}

// What it costs to belong to a cluster in which nothing happens.
func TestTrafficAtRest(t *testing.T) {
	for _, n := range []int{3, 10, 30} {
		if n >= *nodes && n > 3 { // TestManyNodes says it of the largest
			continue
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			gather(t, func(c *crowd) {
				c.start(n)
				c.settle("the first start")
				c.rest()
			})
		})
	}
}
