package hosts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// class is some of a load's keys, all under one limit of its own.
type class struct {
	Rule  string        // its name
	Count int64         // per Per, and at once
	Per   time.Duration // in JSON, nanoseconds
	Keys  int
}

func (c class) limit() limit { return limit{count: c.Count, per: c.Per, burst: c.Count} }

// subject is one key under its rule. A load's keys are numbered through all classes.
type subject struct {
	rule *bucket.Rule
	key  string
}

func makeSubjects(classes []class) ([]subject, error) {
	var subjects []subject
	for _, c := range classes {
		rule, err := bucket.NewRule(c.Rule, []bucket.Limit{{Count: c.Count, Per: c.Per}})
		if err != nil {
			return nil, err
		}
		for range c.Keys {
			subjects = append(subjects, subject{rule, fmt.Sprint("key ", len(subjects))})
		}
	}
	return subjects, nil
}

// caller makes calls and journals them.
type caller struct {
	node     *cluster.Node
	journal  *journal
	subjects []subject
}

func (c caller) call(key int) (o outcome, degraded bool) {
	s := c.subjects[key]
	r := c.journal.begin(key)
	d, err := c.node.Take(context.Background(), s.rule, s.key, 1)
	switch {
	case errors.Is(err, cluster.ErrClosed): // as Close promises
		o = void
	case err != nil:
		o = failed
	case d.Allowed:
		o = allowed
	default:
		o = refused
	}
	r.end(o, d.Degraded)
	return o, d.Degraded
}

// load is a steady stream of calls under way, each for a key drawn at random.
type load struct {
	caller
	began    int64
	interval int64        // between calls, in nanoseconds
	next     atomic.Int64 // number of the next call
	stopped  atomic.Bool
	wg       sync.WaitGroup
}

// startLoad makes so many calls a second, at most so many at once.
func startLoad(c caller, rate, callers int) *load {
	l := &load{caller: c, began: clock(), interval: int64(time.Second) / int64(rate)}
	for range callers {
		l.wg.Go(l.callAndCall)
	}
	return l
}

// behind is how late a call may be made. A process that stood still doesn't catch up.
const behind = int64(100 * time.Millisecond)

// callAndCall goes on until the load is stopped or the node closed.
func (l *load) callAndCall() {
	for !l.stopped.Load() {
		wait := l.began + (l.next.Add(1)-1)*l.interval - clock()
		if wait < -behind {
			continue
		}
		time.Sleep(time.Duration(wait))
		if l.stopped.Load() {
			return
		}
		if o, _ := l.call(rand.IntN(len(l.subjects))); o == void {
			return
		}
	}
}

// stop ends the load and waits for the last answers.
func (l *load) stop() {
	l.stopped.Store(true)
	l.wg.Wait()
}

// counts are decisions by their outcome.
type counts struct{ Allowed, Degraded, Failed int }

// add counts one more.
func (c *counts) add(o outcome, degraded bool) {
	switch o {
	case allowed:
		c.Allowed++
	case failed, void:
		c.Failed++
	}
	if degraded {
		c.Degraded++
	}
}

// abreast is how many keys each makes calls for at once.
const abreast = 16

// each calls as often as hits says for every key, as fast as answers come.
func (c caller) each(hits func(key int) int) (sum counts) {
	var mu sync.Mutex // guards sum
	var wg sync.WaitGroup
	for first := range abreast {
		wg.Go(func() {
			for key := first; key < len(c.subjects); key += abreast {
				for range hits(key) {
					o, degraded := c.call(key)
					mu.Lock()
					sum.add(o, degraded)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return sum
}

// plus adds another sum.
func (c *counts) plus(o counts) {
	c.Allowed += o.Allowed
	c.Degraded += o.Degraded
	c.Failed += o.Failed
}
