package transport

import "google.golang.org/grpc"

// What was sent when a stream broke may have been debited or not. It is kept for the
// next stream, and goes out again as it was: the same hits in the same frames under
// the same numbers, with the time that is left then. The peer decides what it hasn't
// and says again what it has. All that is kept was in flight at a time, so it is
// within the quota of the next stream.

// established lets the hits flow that have waited for the stream.
func (p *Peer) established(stream grpc.ClientStream, boot string, hangUp func()) {
	now := p.config.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(connected, stream)
	p.boot, p.hangUp = boot, hangUp
	p.hear(now)
	p.beatDue = true
	p.pump()
}

// broken keeps what is in flight for the next stream. It and the queue wait for the
// first attempt to connect again; as long as the peer was silent, nothing more may
// join the queue.
func (p *Peer) broken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(connecting, nil)
	later := p.again // sent after the flights, or not yet
	p.again = nil
	for _, b := range p.flights {
		p.keep(b)
	}
	for _, b := range later {
		p.keep(b)
	}
	p.flights, p.inFlight, p.unanswered = nil, 0, 0
	p.hangUp, p.beating, p.beatDue = nil, false, false
}

// keep has a frame sent again, unless no stream will come soon. p.mu is held.
func (p *Peer) keep(b *batch) {
	if p.state == disconnected || p.state == closed {
		b.fail(ErrUnavailable)
		return
	}
	p.again = append(p.again, b)
}

// forsake ends what was kept. p.mu is held.
func (p *Peer) forsake() {
	for _, b := range p.again {
		b.fail(ErrUnavailable)
	}
	p.again = nil
}

// sendAgain sends the oldest frame that was kept, if anybody waits for it and the quota
// has room. If that hasn't, something is unanswered, and pump is called again when
// that changes. A frame that was sent to another boot, or to one that didn't say
// which, ends. p.mu is held, but not while the frame is sent.
func (p *Peer) sendAgain() bool {
	b := p.again[0]
	if p.unanswered+b.bytes > quota {
		return false
	}
	p.again = p.again[1:]
	switch {
	case b.tried && (p.boot == "" || b.to != p.boot):
		b.fail(ErrUnavailable)
	case b.alive():
		p.send(b)
	}
	return true
}

// fail ends the calls, which may have been decided.
func (b *batch) fail(err error) {
	for _, c := range b.calls {
		c.failAll(err)
	}
}
