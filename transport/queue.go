package transport

import (
	"runtime"
)

// enqueue queues a call, and sends the queue if the stream is free. The call
// ends some time after, unless an error is returned.
func (p *Peer) enqueue(c *call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == closed:
		return ErrClosed
	case p.state == disconnected:
		return ErrUnavailable
	case len(p.queue) >= maxQueue:
		return ErrFull
	}
	p.queue = append(p.queue, c)
	p.watch(c.expire)
	if p.ready() {
		// Let the callers that are about to ask do so: they share the frame.
		p.sending = true
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
		p.sending = false
		p.pump()
	}
	return nil
}

// ready reports whether a frame should leave now. A queue that waits is always
// looked at again: by whoever is sending, or when the frame in flight is
// answered or lost.
func (p *Peer) ready() bool {
	return len(p.queue) > 0 && p.stream != nil && !p.sending &&
		(p.inFlight == 0 || len(p.queue) >= company && p.unanswered < quota/2)
}

// pump sends one frame, or another if the first was answered before pump had
// the mutex again, as then nobody else does. p.mu is held; it is released while
// the frame is written and sent.
func (p *Peer) pump() {
	for p.ready() {
		b := p.collect()
		if len(b.calls) == 0 {
			p.recycle(b)
			return
		}
		p.sending = true
		p.send(b)
		p.sending = false
		if p.inFlight > 0 {
			return
		}
	}
}

// collect takes calls from the queue into a frame, leaving out those that have
// ended. It takes everything unless the frame is full.
func (p *Peer) collect() *batch {
	b := p.newBatch()
	n := 0
	for _, c := range p.queue {
		if !c.ended.Load() && !b.add(c) {
			break
		}
		n++
	}
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return b
}

// send writes the frame and hands it to gRPC. The calls are entered as in
// flight only when the last byte has been read from them: from then on they may
// end, and be used again by somebody else.
func (p *Peer) send(b *batch) {
	stream := p.stream
	b.first = p.sequence
	p.sequence += uint64(len(b.calls))
	p.mu.Unlock()
	f := newFrame(b.bytes)
	b.encode(*f.out, p.config.Now())
	p.mu.Lock()
	if p.stream != stream {
		for _, c := range b.calls {
			c.end(Answer{}, ErrUnavailable)
		}
		return
	}
	p.flights = append(p.flights, b)
	p.inFlight++
	p.unanswered += b.bytes
	p.watch(b.earliest)
	p.mu.Unlock()
	// It can't block: see quota. Its error is the receiver's to handle, who gets
	// the same.
	_ = stream.SendMsg(f)
	p.mu.Lock()
}

func (p *Peer) newBatch() *batch {
	b := new(batch)
	if n := len(p.spare); n > 0 {
		b, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	b.reset(min(quota-p.unanswered, maxFrameBytes))
	return b
}

func (p *Peer) recycle(b *batch) {
	if len(p.spare) < 8 {
		b.reset(0)
		p.spare = append(p.spare, b)
	}
}
