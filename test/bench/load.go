package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// load is a number of callers that ask without pause.
type load struct {
	asker   asker
	keys    int
	phase   atomic.Int32
	callers []*caller
	wg      sync.WaitGroup
}

const (
	idling    int32 = iota // asking, not counting
	measuring              // asking and counting
	stopped
)

// caller is what one of them counted. Each has one of its own, on cache lines
// of its own.
type caller struct {
	latencies
	failed  int64
	failure error // the last one
}

func startLoad(a asker, callers, keys int) *load {
	l := &load{asker: a, keys: keys, callers: make([]*caller, callers)}
	for i := range l.callers {
		c := new(caller)
		l.callers[i] = c
		l.wg.Go(func() { l.run(c, uint64(i)) })
	}
	return l
}

// run asks for keys at random, by a linear congruential generator (Knuth's
// MMIX), until the load is stopped. A decision belongs to the phase in which it
// came. One reading of the clock ends a decision and begins the next.
func (l *load) run(c *caller, seed uint64) {
	random := seed*0x9e3779b97f4a7c15 + 1
	clock := time.Now() // reading the time since it is cheaper than the time
	begun := time.Duration(0)
	for {
		random = random*6364136223846793005 + 1442695040888963407
		err := l.asker.ask(int(random >> 32 * uint64(l.keys) >> 32))
		now := time.Since(clock)
		switch phase := l.phase.Load(); {
		case phase == stopped:
			return
		case phase == idling:
		case err != nil:
			c.failed++
			c.failure = err
		default:
			c.add(now - begun)
		}
		begun = now
	}
}

// stop ends the load and returns what all callers counted together.
func (l *load) stop() *caller {
	l.phase.Store(stopped)
	l.wg.Wait()
	sum := new(caller)
	for _, c := range l.callers {
		sum.merge(&c.latencies)
		sum.failed += c.failed
		if c.failure != nil {
			sum.failure = c.failure
		}
	}
	return sum
}

// primers is how many ask at once in prime.
const primers = 64

// prime has one hit on every key decided, so that the measurements find all
// buckets in place.
func prime(a asker, keys int) {
	var wg sync.WaitGroup
	for first := range primers {
		wg.Go(func() {
			for i := first; i < keys; i += primers {
				_ = a.ask(i) // the measurements count failures
			}
		})
	}
	wg.Wait()
}
