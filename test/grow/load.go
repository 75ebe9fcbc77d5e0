package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Load is what became of some decisions.
type Load struct {
	Decisions int64
	Took, CPU time.Duration
}

func (l Load) perSecond() float64  { return float64(l.Decisions) / l.Took.Seconds() }
func (l Load) perMillion() float64 { return l.CPU.Seconds() / float64(l.Decisions) * 1e6 }

// politeness is after how many decisions a caller lets others run. Requests wait for
// their clients; callers that ask for what is decided here wait for nothing, and a
// hundred of them would keep the streams off the processors for half a second.
const politeness = 16

// ask has the callers ask the nodes for decisions about the keys: for a third of the
// phase without counting, until streams and leases are what they will be, and then for
// all of it.
func ask(ctx context.Context, nodes []*cluster.Node, rule *bucket.Rule, keys []string, p plan) (Load, error) {
	var asked atomic.Int64
	ctx, stop := context.WithCancelCause(ctx)
	var callers sync.WaitGroup
	defer callers.Wait()
	defer stop(nil)
	for i := range p.callers {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for node, n := nodes[i%len(nodes)], 0; ctx.Err() == nil; asked.Add(1) {
				if n++; n%politeness == 0 {
					runtime.Gosched()
				}
				d, err := node.Take(context.Background(), rule, keys[random.IntN(len(keys))], 1)
				if err == nil && d.Degraded {
					err = fmt.Errorf("a decision of %s was degraded", node.Name())
				}
				if err != nil {
					stop(err)
				}
			}
		})
	}
	if err := pause(ctx, p.phase/3); err != nil {
		return Load{}, err
	}
	began, used, before := time.Now(), cpuTime(), asked.Load()
	err := pause(ctx, p.phase)
	return Load{Decisions: asked.Load() - before, Took: time.Since(began), CPU: cpuTime() - used}, err
}

func keys(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = "user " + strconv.Itoa(i)
	}
	return all
}

// Memories is what it costs to remember some keys.
type Memories struct {
	Keys   int
	Random Load
	Live   int64         // bytes
	GC     time.Duration // a full collection, forced
}

const storeTitle = `
    keys   decisions/s  CPU s/M   bytes a key   full GC ms
`

func (m Memories) String() string {
	return fmt.Sprintf("%8d %13.0f %8.3f %13.1f %12.2f\n", m.Keys, m.Random.perSecond(), m.Random.perMillion(),
		float64(m.Live)/float64(m.Keys), float64(m.GC.Microseconds())/1000)
}

// measureStore asks one replica on its own for one key after another, and then for
// random ones, by one caller.
func measureStore(ctx context.Context, n int, phase time.Duration) (Memories, error) {
	m := Memories{Keys: n}
	all := keys(n)
	before := liveMemory()
	nodes, err := startAll(ctx, 1)
	defer closeAll(nodes)
	if err != nil {
		return m, err
	}
	rule := bucket.MustRule("stored", "1000000/hour") // which is full again only after this program
	for _, key := range all {
		if _, err := nodes[0].Take(ctx, rule, key, 100_000); err != nil {
			return m, err
		}
	}
	m.Live = liveMemory() - before
	began := time.Now()
	runtime.GC()
	m.GC = time.Since(began)
	m.Random, err = ask(ctx, nodes, rule, all, plan{callers: 1, phase: phase})
	runtime.KeepAlive(all)
	return m, err
}

// liveMemory is what the process holds when its garbage is gone.
func liveMemory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// pause waits, or says why the context ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return errors.New("interrupted")
	}
}
