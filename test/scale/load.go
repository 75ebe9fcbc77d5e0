package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

const (
	// tick is how often hits are due, some at a time.
	tick = time.Millisecond
	// emptyShare: one hit in so many is for an empty bucket.
	emptyShare = 8
)

// Loading is what to ask: that many hits a second, of keys below these numbers.
type Loading struct{ Rate, Keys, Empty int }

// Phase is what became of the hits of one phase.
type Phase struct {
	Micros   []uint32 // from when a hit was due to its answer
	Degraded int      // decided by somebody else than the holder
	Admitted int      // by empty buckets
	Loose    int      // by empty buckets in a degraded decision
	Failed   int      // an error
}

// load is a steady stream of hits.
type load struct {
	node  *cluster.Node
	live  *bucket.Rule
	empty *bucket.Rule

	begin  sync.Once
	what   atomic.Pointer[Loading]
	done   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	phases []Phase
}

func newLoad(n *cluster.Node) *load {
	return &load{node: n, live: liveRule(), empty: emptyRule(), done: make(chan struct{}), phases: make([]Phase, 1)}
}

// start begins the load, or changes it.
func (l *load) start(what Loading) {
	l.what.Store(&what)
	l.begin.Do(func() { l.wg.Go(l.pace) })
}

// pace lets the hits of each tick go when they are due, or at once where it is late.
func (l *load) pace() {
	owed := 0
	for due := time.Now(); ; due = due.Add(tick) {
		select {
		case <-l.done:
			return
		case <-time.After(time.Until(due)):
		}
		what := l.what.Load()
		owed += what.Rate
		for ; owed >= int(time.Second/tick); owed -= int(time.Second / tick) {
			l.wg.Go(func() { l.ask(what, due) })
		}
	}
}

func (l *load) ask(what *Loading, due time.Time) {
	rule, keys := l.live, what.Keys
	if rand.N(emptyShare) == 0 {
		rule, keys = l.empty, what.Empty
	}
	d, err := l.node.Take(context.Background(), rule, keyOf(rand.N(keys)), 1)
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.phases[len(l.phases)-1]
	p.Micros = append(p.Micros, uint32(took.Microseconds()))
	switch {
	case err != nil:
		p.Failed++
	case d.Degraded:
		p.Degraded++
		if rule == l.empty && d.Allowed {
			p.Loose++
		}
	case rule == l.empty && d.Allowed:
		p.Admitted++
	}
}

// next begins another phase. A hit belongs to the one in which its answer comes.
func (l *load) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, Phase{Micros: make([]uint32, 0, cap(l.phases[len(l.phases)-1].Micros))})
}

// stop ends the load, waits for the last answers and returns all phases.
func (l *load) stop() []Phase {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	l.wg.Wait()
	return l.phases
}
