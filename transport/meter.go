package transport

import (
	"math/bits"
	"sync/atomic"
)

// frameSizes is how many classes of sizes there are: 1 hit, 2, 3 to 4, 5 to 8, and so
// on to more than 512, where equal hits count each.
const frameSizes = 11

// Meter counts what the peers that share it do. The zero value is ready, and safe for
// concurrent use. It is written once a frame, not once a hit.
type Meter struct {
	frames                   [frameSizes]atomic.Int64
	hits, full, lost, silent atomic.Int64
}

// Traffic is what a Meter has counted.
type Traffic struct {
	// Frames is how many frames of hits were sent, by their size: 1 hit, 2, 3 to 4, 5
	// to 8, and so on by powers of two, equal hits counted each; the last class has no
	// end. Those that were sent again don't count again.
	Frames [frameSizes]int64
	// Hits is how many hits were in them; Full how many were refused a place in a
	// queue that was full.
	Hits, Full int64
	// Lost is how many streams broke or could not be opened, Silent how often a peer
	// that was connected left something unanswered for so long that it wasn't asked
	// any more until it spoke again.
	Lost, Silent int64
}

// Traffic returns what has been counted so far.
func (m *Meter) Traffic() Traffic {
	t := Traffic{Hits: m.hits.Load(), Full: m.full.Load(), Lost: m.lost.Load(), Silent: m.silent.Load()}
	for i := range t.Frames {
		t.Frames[i] = m.frames[i].Load()
	}
	return t
}

// frame counts a frame of n hits, 1 at least.
func (m *Meter) frame(n int) {
	m.frames[min(bits.Len(uint(n-1)), frameSizes-1)].Add(1)
	m.hits.Add(int64(n))
}

// Condition is how the way to a peer is.
type Condition struct {
	// Connected: there is a stream. Silent: it isn't asked, as it has left something
	// unanswered for PeerConfig.Silence.
	Connected, Silent bool
	// Queued is how many hits wait to be sent, equal ones counted once, Unanswered how many frames are sent and
	// not answered.
	Queued, Unanswered int
}

// Condition returns how the way to the peer is at this moment.
func (p *Peer) Condition() Condition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Condition{Connected: p.state == connected, Silent: p.silent, Queued: len(p.queue.heads), Unanswered: len(p.flights)}
}
