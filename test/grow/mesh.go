package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// spreadKeys is how many keys the spread load asks for.
const spreadKeys = 100_000

// Mesh is what a cluster of some size costs.
type Mesh struct {
	Replicas    int
	Spread, Hot Load
	RestCPU     time.Duration // of one replica in a second, when nobody asks
	Memory      int64         // bytes that one replica takes, live and stacks
}

const meshTitle = `replicas   spread: decisions/s  CPU s/M   one hot key: decisions/s  CPU s/M   at rest, a replica: CPU ms/s  memory MB
`

func (m Mesh) String() string {
	return fmt.Sprintf("%8d %20.0f %8.2f %26.0f %8.2f %29.2f %10.2f\n", m.Replicas,
		m.Spread.perSecond(), m.Spread.perMillion(), m.Hot.perSecond(), m.Hot.perMillion(),
		float64(m.RestCPU.Microseconds())/1000, float64(m.Memory)/1e6)
}

// measureMesh starts n replicas, asks them, and stops them.
func measureMesh(ctx context.Context, n int, p plan) (Mesh, error) {
	m := Mesh{Replicas: n}
	before := liveMemory()
	nodes, err := startAll(ctx, n)
	defer closeAll(nodes)
	if err != nil {
		return m, err
	}
	m.Memory = (liveMemory() - before) / int64(n)
	rest, err := resting(ctx, p.phase)
	if err != nil {
		return m, err
	}
	m.RestCPU = rest / time.Duration(n)
	rule := bucket.MustRule("spread", "1000000/second")
	if m.Spread, err = ask(ctx, nodes, rule, keys(spreadKeys), p); err != nil {
		return m, err
	}
	m.Hot, err = ask(ctx, nodes, bucket.MustRule("hot", "100000000/second"), keys(1), p)
	return m, err
}

// startAll starts n replicas, and waits until each holds its partitions.
func startAll(ctx context.Context, n int) ([]*cluster.Node, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	var nodes []*cluster.Node
	var seeds []string
	for i := range n {
		c := cluster.Config{Name: fmt.Sprint("replica-", i), DigestKey: secret, HitTimeout: time.Second}
		if n > 1 {
			c.Bind, c.Seeds, c.Secret = "127.0.0.1:0", seeds, secret
		}
		node, err := cluster.Start(ctx, c)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, node)
		if len(seeds) < 3 && n > 1 {
			seeds = append(seeds, node.GossipAddress())
		}
	}
	return nodes, settled(ctx, nodes)
}

// settleTime is more than a hundred replicas take on two cores.
const settleTime = time.Minute

// settled waits until all see all, and every partition is where it should be.
func settled(ctx context.Context, nodes []*cluster.Node) error {
	began := time.Now()
	for _, node := range nodes {
		for {
			m := node.Metrics()
			h := m.Handoff
			if node.Ready() && m.Members == len(nodes) && m.Unreachable+m.Disagreeing+h.Missing+h.Sending+h.Doubtful+h.Uncopied == 0 {
				break
			}
			if time.Since(began) > settleTime {
				return fmt.Errorf("%s isn't settled after %v: it sees %d members, %d of which don't answer; %+v", node.Name(), settleTime, m.Members, m.Unreachable, h)
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func closeAll(nodes []*cluster.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // farewells of so many would take long
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { _ = n.Close(ctx) })
	}
	wg.Wait()
}

// resting is the CPU time that the process takes in a second in which nobody asks.
func resting(ctx context.Context, phase time.Duration) (time.Duration, error) {
	runtime.GC()
	began, used := time.Now(), cpuTime()
	if err := pause(ctx, phase); err != nil {
		return 0, err
	}
	used = cpuTime() - used
	return time.Duration(float64(used) / time.Since(began).Seconds()), nil
}

// estimate is what a mesh of n replicas would cost, by the model of the package
// comment: nothing where there is nothing to tell a slope from.
func estimate(ms []Mesh, n int) string {
	if len(ms) < 2 {
		return ""
	}
	a, b := ms[len(ms)-2], ms[len(ms)-1]
	if a.Replicas >= b.Replicas || b.Replicas >= n {
		return ""
	}
	along := float64(n-b.Replicas) / float64(b.Replicas-a.Replicas)
	e := Mesh{
		Replicas: n,
		RestCPU:  b.RestCPU + time.Duration(along*float64(b.RestCPU-a.RestCPU)),
		Memory:   b.Memory + int64(along*float64(b.Memory-a.Memory)),
	}
	return fmt.Sprintf("%8d %s%29.2f %10.2f  estimated\n", n, strings.Repeat(" ", len("spread: decisions/s  CPU s/M   one hot key: decisions/s  CPU s/M")+1),
		float64(e.RestCPU.Microseconds())/1000, float64(e.Memory)/1e6)
}
