package transport

import (
	"sync"
	"sync/atomic"
)

// Call is a hit on its way to a peer, and the answer to it. Whoever asks works on both in
// place: each waiting caller's memory has gone cold by the time it is woken, so what is
// copied from place to place costs more than all that is done with it. Take it from
// Calls, fill in the Hit, which is zero, and give it to Peer.Ask, after which Answer is
// there. It isn't safe for concurrent use. (What Peer.Call makes is a bulk call, by gRPC.)
//
// A call ends once each time that it is asked: by its answer, by its deadline or by a
// broken stream, whoever is first. The first to end it, and nobody else, writes the
// answer and wakes the caller.
type Call struct {
	Hit    Hit
	expire int64 // on the asker's clock

	// Equals share an entry: next is the one behind this, and the first of them knows
	// the last, how many others there are, and as its own the earliest of their times.
	next, last *Call
	others     int

	number uint64        // 0 until it is put in a frame
	done   chan struct{} // of capacity 1: waking a caller never blocks
	ended  atomic.Bool
	rule   uint16 // place in the frame, set while it is put together
	err    error
	Answer Answer
}

// begin makes the call ready to be asked.
func (c *Call) begin(expire int64) {
	if c.number != 0 { // it was asked before
		c.number = 0
		c.Answer = Answer{}
	}
	c.expire, c.err = expire, nil
	c.next, c.last, c.others = nil, c, 0
	c.ended.Store(false)
}

// fail ends the call without an answer, unless it has ended.
func (c *Call) fail(err error) {
	if c.ended.CompareAndSwap(false, true) {
		c.err = err
		c.done <- struct{}{}
	}
}

// end gives the call the answer that the reply is at, unless it has ended.
func (c *Call) end(r *reply) {
	if c.ended.CompareAndSwap(false, true) {
		c.err = ErrPanic // unless this returns
		c.Answer.Number, c.Answer.At = c.number, r.now
		c.err = readAnswer(&c.Answer, r.record, &c.Hit)
		if r.grant.Seq != 0 {
			c.Answer.Grant = r.grant
		}
		c.done <- struct{}{}
	}
}

// endRun is end for the i-th of equal calls.
func (c *Call) endRun(r *reply, i int) {
	if !r.isRun {
		c.end(r)
	} else if c.ended.CompareAndSwap(false, true) {
		c.err = ErrPanic // unless this returns
		c.Answer.Number, c.Answer.At = c.number, r.now
		r.run.At(&c.Answer.Verdict, c.Hit.Rule, i)
		c.Answer.Hot = r.record[0]&statusHot != 0
		c.err = nil
		c.done <- struct{}{}
	}
}

// abandon ends a call of which it isn't known whether it has ended: it may have
// panicked on the way.
func (c *Call) abandon() {
	c.fail(ErrPanic)
	select {
	case c.done <- struct{}{}:
	default: // it has been woken
	}
}

// failAll is fail for a call and all that share its entry.
func (c *Call) failAll(err error) {
	for ; c != nil; c = c.next { // which stays: a call that failed isn't used again
		c.fail(err)
	}
}

// alive reports whether somebody still waits for the call or one that shares its
// entry.
func (c *Call) alive() bool {
	for ; c != nil; c = c.next {
		if !c.ended.Load() {
			return true
		}
	}
	return false
}

// Calls recycles calls, for any number of peers. The zero value is ready, and it is safe
// for concurrent use. It belongs to whoever asks, not to this package, as channels must
// not move between a program's synctest bubbles.
type Calls struct{ pool sync.Pool }

// Get returns a call whose Hit and Answer are zero.
func (p *Calls) Get() *Call {
	if c, ok := p.pool.Get().(*Call); ok {
		return c
	}
	return &Call{done: make(chan struct{}, 1)}
}

// Put takes back a call that isn't used any more. One that was queued and then ended by an
// error may still stand in a frame that waits for its answer, which would then end the
// call's next use: such a call is left to the garbage collector.
func (p *Calls) Put(c *Call) {
	if c.err == nil {
		c.Hit = Hit{} // one by one: together they are made elsewhere and then copied
		c.Answer = Answer{}
		c.number, c.next, c.last = 0, nil, nil
		p.pool.Put(c)
	}
}
