package cluster

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/transport"
)

// memberlist reads up to 20 MiB from whoever connects, before it finds out that it
// can't decrypt them, and takes any number of connections for 2 s each. The gate
// bounds both. Where there are too many streams it closes the oldest: an honest one
// ends within milliseconds.
const (
	// maxStreams bounds the streams that others have opened, maxStreamsFrom those
	// from one host (an IPv6 /64).
	maxStreams     = 128
	maxStreamsFrom = 32
	// freeBytes is what may be read from each stream, enough for what some hundred
	// members say of each other. Beyond that they share sharedBytes.
	freeBytes   = 64 << 10
	sharedBytes = 4 << 20
)

var errTooMuch = errors.New("cluster: too many bytes on gossip streams")

// gate is a transport for memberlist that bounds what streams cost.
type gate struct {
	memberlist.Transport
	streams chan net.Conn
	closing chan struct{} // no more streams are handed on
	done    chan struct{} // none come any more
	wg      sync.WaitGroup

	mu     sync.Mutex
	open   transport.Crowd[*gated] // that others have opened
	shared int                     // bytes of sharedBytes that are in use
}

func newGate(t memberlist.Transport) *gate {
	g := &gate{
		Transport: t, streams: make(chan net.Conn), closing: make(chan struct{}), done: make(chan struct{}),
		open: transport.Crowd[*gated]{Most: maxStreams, MostFrom: maxStreamsFrom},
	}
	g.wg.Go(g.pass)
	return g
}

func (g *gate) StreamCh() <-chan net.Conn { return g.streams }

// pass hands on the streams that others open.
func (g *gate) pass() {
	for {
		select {
		case conn := <-g.Transport.StreamCh():
			s := &gated{Conn: conn, gate: g}
			if victim := g.enter(s); victim != nil {
				_ = victim.Close()
			}
			select {
			case g.streams <- s:
			case <-g.closing:
				_ = s.Close()
			}
		case <-g.done:
			return
		}
	}
}

// enter counts a stream, and returns the one that has to go for it, or nil.
func (g *gate) enter(s *gated) (victim *gated) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open.Enter(s, transport.HostOf(s.RemoteAddr()))
}

// DialTimeout bounds what is read from those that this replica calls, too.
func (g *gate) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	conn, err := g.Transport.DialTimeout(address, timeout)
	if err != nil {
		return nil, err
	}
	return &gated{Conn: conn, gate: g}, nil
}

// Shutdown ends the transport. memberlist may have ceased to take streams.
func (g *gate) Shutdown() error {
	close(g.closing)
	err := g.Transport.Shutdown()
	close(g.done)
	g.wg.Wait()
	return err
}

// gated is a stream whose bytes are counted.
type gated struct {
	net.Conn
	gate *gate

	// These belong to gate.mu.
	read   int
	shared int // of read, that are taken from sharedBytes
	closed bool
}

func (s *gated) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.gate.take(s, n) {
		return n, err
	}
	return 0, errTooMuch
}

// take counts bytes that were read, and reports whether there was room for them.
func (g *gate) take(s *gated, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.read += n
	more := max(0, s.read-freeBytes) - s.shared
	if s.closed || g.shared+more > sharedBytes {
		return more == 0
	}
	s.shared += more
	g.shared += more
	return true
}

func (s *gated) Close() error {
	s.gate.leave(s)
	return s.Conn.Close()
}

func (g *gate) leave(s *gated) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	g.shared -= s.shared
	g.open.Leave(s)
}
