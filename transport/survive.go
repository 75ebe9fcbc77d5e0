package transport

import (
	"context"
	"fmt"
	"math"
	"time"
)

// A panic in here, by a mistake in this package or in what it calls, ends what it was
// about and nothing else: a stream, a call, the hits of a frame. Nobody who asks is left
// without an answer, and whoever made the Peer or the Server is told.

// Witness is a Handler that is told of panics.
type Witness interface {
	// Panicked is called with the value of a panic that the Server has recovered
	// from, and in what, while the stack still shows where. It must not block.
	Panicked(where string, p any)
}

// againTime is how long a peer's goroutine waits after a panic before it begins anew.
const againTime = 100 * time.Millisecond

// panicked tells whoever made the peer.
func (p *Peer) panicked(where string, value any) {
	if p.config.Panicked != nil {
		p.config.Panicked(where, value)
		return
	}
	p.config.Log.Error("recovered from a panic", "where", where, "panic", fmt.Sprint(value))
}

// survives calls f, and reports whether it returned.
func (p *Peer) survives(where string, f func()) (returned bool) {
	defer func() {
		if !returned {
			p.panicked(where, recover())
		}
	}()
	f()
	return true
}

// tend runs f in a goroutine of the peer, and again if it panics, until ctx is done.
func (p *Peer) tend(ctx context.Context, where string, f func(context.Context)) {
	p.wg.Go(func() {
		for !p.survives(where, func() { f(ctx) }) && ctx.Err() == nil {
			p.due()
			sleep(ctx, againTime)
		}
	})
}

// due has the sweeper look at once: what was due before a panic still is.
func (p *Peer) due() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = math.MaxInt64
	p.watch(0)
}
