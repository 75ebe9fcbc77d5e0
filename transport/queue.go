package transport

import (
	"runtime"

	"google.golang.org/grpc"
)

// enqueue queues a call, and sends the queue if the stream is free. The call
// ends some time after, unless an error is returned.
func (p *Peer) enqueue(c *Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == closed:
		return ErrClosed
	case p.state == disconnected, p.silent:
		return ErrUnavailable
	case !p.queue.join(c, maxQueue):
		p.config.Meter.full.Add(1)
		return ErrFull
	}
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
	waiting := len(p.queue.heads)
	return waiting > 0 && p.stream != nil && !p.sending &&
		(p.inFlight == 0 || waiting >= company && p.unanswered < quota/2)
}

// pump sends what must go first, a heartbeat that is due and the frames of a stream
// that broke, and then one frame of the queue, or another if the first was answered
// before pump had the mutex again, as then nobody else does. p.mu is held; it is
// released while frames are written and sent.
func (p *Peer) pump() {
	for sent := false; p.stream != nil && !p.sending; {
		switch {
		case p.beatDue && p.unanswered+heartbeatBytes <= quota:
			p.beat()
		case len(p.again) > 0:
			if !p.sendAgain() {
				return
			}
		case !p.ready() || sent && p.inFlight > 0:
			return
		default:
			b := p.collect()
			if len(b.calls) == 0 {
				p.recycle(b)
				return
			}
			p.config.Meter.frame(b.hits)
			p.send(b)
			sent = true
		}
	}
}

// collect takes calls from the queue into a frame and numbers them, leaving out those
// that have ended. It takes everything unless the frame is full. If it panics it would
// again: the queue ends, and the frame is empty.
func (p *Peer) collect() (b *batch) {
	b = p.newBatch()
	returned := false
	defer func() {
		if !returned {
			value := recover()
			b = p.newBatch()
			p.failQueue(ErrPanic)
			p.released(func() { p.panicked("filling a frame", value) })
		}
	}()
	n := 0
	for i, c := range p.queue.heads {
		if c = c.prune(); c != nil && !b.add(c) {
			p.queue.heads[i] = c
			break
		}
		n++
	}
	p.queue.leave(n)
	p.sequence += uint64(b.hits)
	returned = true
	return b
}

// send writes the frame and hands it to gRPC. The calls are entered as in
// flight only when the last byte has been read from them: from then on they may
// end, and be used again by somebody else.
func (p *Peer) send(b *batch) {
	stream := p.stream
	p.sending = true
	var now int64
	written := false
	p.released(func() {
		now = p.config.Now()
		p.out.out = p.buffers.Get(b.bytes)
		written = p.survives("writing a frame", func() { b.encode(*p.out.out, now) })
	})
	if p.stream != stream || !written {
		p.sending = false
		p.buffers.Put(p.out.out)
		if written {
			p.keep(b)
		} else {
			b.fail(ErrPanic)
		}
		return
	}
	b.sent, b.tried, b.to = now, true, p.boot
	p.flights = append(p.flights, b)
	p.inFlight++
	p.unanswered += b.bytes
	p.watch(min(b.earliest, now+p.silence+grain))
	if !p.beating {
		p.watch(p.nextBeat() + grain)
	}
	if !p.hand(stream, &p.out) {
		b.fail(ErrPanic)
	}
	p.sending = false
}

// hand gives a frame to gRPC. It can't block: see quota. Its error is the receiver's to
// handle, who gets the same. After a panic nobody knows how the stream is, so it ends.
// p.mu is held, but not meanwhile.
func (p *Peer) hand(stream grpc.ClientStream, f *frame) (returned bool) {
	p.released(func() {
		returned = p.survives("sending a frame", func() { _ = stream.SendMsg(f) })
	})
	if !returned && p.stream == stream && p.hangUp != nil {
		p.released(p.takeHangUp())
	}
	return returned
}

// released calls f without p.mu, which is held. If f panics p.mu is held again all the
// same, for those who leave it by defer: to unlock it twice would end the process.
func (p *Peer) released(f func()) {
	p.mu.Unlock()
	returned := false
	defer func() {
		p.mu.Lock()
		if !returned {
			p.sending = false
		}
	}()
	f()
	returned = true
}

func (p *Peer) newBatch() *batch {
	var b *batch
	if n := len(p.spare); n > 0 {
		b, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		b = new(batch)
	}
	b.reset(min(quota-p.unanswered, maxFrameBytes), p.sequence+1)
	return b
}

func (p *Peer) recycle(b *batch) {
	if len(p.spare) < 8 {
		b.reset(0, 0)
		p.spare = append(p.spare, b)
	}
}
