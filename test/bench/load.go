package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// load is a number of callers that ask: without pause or, in an open loop, when the
// next hit is due, whatever has become of the earlier ones.
type load struct {
	asker   asker
	keys    int
	every   time.Duration // between two hits of an open loop, of all callers together; 0 without pause
	started time.Time
	hits    atomic.Int64 // that were due so far, in an open loop
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

func startLoad(a asker, callers, keys, rate int) *load {
	l := &load{asker: a, keys: keys, started: time.Now(), callers: make([]*caller, callers)}
	if rate > 0 {
		l.every = time.Second / time.Duration(rate)
	}
	for i := range l.callers {
		c := new(caller)
		l.callers[i] = c
		l.wg.Go(func() { l.run(c, uint64(i)) })
	}
	return l
}

// run asks for keys at random, by a linear congruential generator (Knuth's
// MMIX), until the load is stopped. A decision belongs to the phase in which it
// came. One reading of the clock ends a decision and begins the next. In an open loop
// a decision takes as long as it comes after it was due, so that time for which no
// caller was free counts, too.
func (l *load) run(c *caller, seed uint64) {
	random := seed*0x9e3779b97f4a7c15 + 1
	clock := time.Now() // reading the time since it is cheaper than the time
	begun := time.Duration(0)
	for {
		random = random*6364136223846793005 + 1442695040888963407
		if l.every > 0 {
			early := l.due()
			begun = time.Since(clock) + early
		}
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

// due waits until the next hit is due, and returns how far from now that is: less than
// 0 where it is late.
func (l *load) due() time.Duration {
	at := l.started.Add(time.Duration(l.hits.Add(1)) * l.every)
	if early := time.Until(at); early > 0 {
		time.Sleep(early)
	}
	return time.Until(at)
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
