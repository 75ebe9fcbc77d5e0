package transport

import (
	"sync"
	"sync/atomic"
)

// call is one caller's hit and the place where its verdict is put.
//
// A call ends once: by its answer, by its deadline or by a broken stream,
// whoever is first. The first to end it, and nobody else, writes the verdict and
// wakes the caller.
type call struct {
	hit    Hit
	expire int64  // on the asker's clock
	number uint64 // 0 until it is put in a frame
	rule   uint16 // place in the frame, set while it is put together

	// Equals share an entry: next is the one behind this, and the first of them knows
	// the last, how many others there are, and as its own the earliest of their times.
	next, last *call
	others     int

	ended  atomic.Bool
	answer Answer
	err    error
	done   chan struct{} // of capacity 1: waking a caller never blocks
}

// fail ends the call without an answer, unless it has ended.
func (c *call) fail(err error) {
	if c.ended.CompareAndSwap(false, true) {
		c.err = err
		c.done <- struct{}{}
	}
}

// end gives the call the answer that the reply is at, unless it has ended.
func (c *call) end(r *reply) {
	if c.ended.CompareAndSwap(false, true) {
		c.err = ErrPanic // unless this returns
		c.err = readAnswer(&c.answer, r.record, &c.hit)
		c.answer.Grant = r.grant
		c.answer.At = r.now
		c.done <- struct{}{}
	}
}

// endRun is end for the i-th of equal calls.
func (c *call) endRun(r *reply, i int) {
	if !r.isRun {
		c.end(r)
	} else if c.ended.CompareAndSwap(false, true) {
		c.err = ErrPanic // unless this returns
		r.run.At(&c.answer.Verdict, c.hit.Rule, i)
		c.answer.Hot = r.record[0]&statusHot != 0
		c.answer.At = r.now
		c.err = nil
		c.done <- struct{}{}
	}
}

// abandon ends a call of which it isn't known whether it has ended: it may have
// panicked on the way.
func (c *call) abandon() {
	c.fail(ErrPanic)
	select {
	case c.done <- struct{}{}:
	default: // it has been woken
	}
}

// failAll is fail for a call and all that share its entry.
func (c *call) failAll(err error) {
	for ; c != nil; c = c.next { // which stays: a call that failed isn't used again
		c.fail(err)
	}
}

// alive reports whether somebody still waits for the call or one that shares its
// entry.
func (c *call) alive() bool {
	for ; c != nil; c = c.next {
		if !c.ended.Load() {
			return true
		}
	}
	return false
}

// callPool recycles calls. It belongs to a peer, not to the package, as
// channels must not move between a program's synctest bubbles.
type callPool struct{ pool sync.Pool }

func (p *callPool) get(h *Hit, expire int64) *call {
	c, ok := p.pool.Get().(*call)
	if !ok {
		c = &call{done: make(chan struct{}, 1)}
	}
	c.hit, c.expire, c.number, c.answer, c.err = *h, expire, 0, Answer{}, nil
	c.next, c.last, c.others = nil, c, 0
	c.ended.Store(false)
	return c
}

// put takes back a call that has ended. One that ended by its deadline may
// still stand in a frame that waits for its answer, which would then end the
// call's next use: such a call is left to the garbage collector.
func (p *callPool) put(c *call) {
	if c.err == nil {
		c.hit.Rule, c.next, c.last = nil, nil, nil
		p.pool.Put(c)
	}
}
