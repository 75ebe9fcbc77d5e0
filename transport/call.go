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

// end gives the call the i-th answer of a reply, unless it has ended.
func (c *call) end(r *reply, i int) {
	if c.ended.CompareAndSwap(false, true) {
		c.err = r.answer(&c.answer, i, &c.hit)
		c.done <- struct{}{}
	}
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
	c.ended.Store(false)
	return c
}

// put takes back a call that has ended. One that ended by its deadline may
// still stand in a frame that waits for its answer, which would then end the
// call's next use: such a call is left to the garbage collector.
func (p *callPool) put(c *call) {
	if c.err == nil {
		c.hit.Rule = nil
		p.pool.Put(c)
	}
}
