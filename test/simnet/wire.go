package simnet

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// kind says what a segment is for. The names are those of TCP (RFC 9293, section
// 3.5 for opening, 3.6 for closing).
type kind uint8

const (
	data   kind = iota
	syn         // open, please
	synAck      // opened here
	ack         // opened there too: the stream can be accepted
	fin         // no more data will come, and none is read any more
	rst         // there is no such stream
)

// segment is one thing said by one end of a stream to the other.
type segment struct {
	kind kind
	data []byte
	at   time.Time // when it arrives, if the link is open then and all before it are there
}

// newStreamLocked makes the two ends of a stream that is about to be opened.
func (h *Host) newStreamLocked(to netip.AddrPort) *conn {
	dst := h.net.hosts[to.Addr().Unmap()]
	if dst == nil { // nobody there: the same as a machine that is off
		dst = newHost(h.net, to.Addr().Unmap())
		dst.state = crashed
	}
	local, remote := h.tcpAddr(h.ephemeral), dst.tcpAddr(to.Port())
	if h.ephemeral++; h.ephemeral == 0 {
		h.ephemeral = firstEphemeral
	}
	gossip := dst.packets[to.Port()] != nil
	c := &conn{host: h, gossip: gossip, local: local, remote: remote, cond: sync.NewCond(&h.net.mu)}
	c.peer = &conn{host: dst, gossip: gossip, local: remote, remote: local, cond: sync.NewCond(&h.net.mu), peer: c}
	return c
}

// transmitLocked puts a segment on the wire to the peer, behind all others there.
func (c *conn) transmitLocked(s segment) {
	s.at = time.Now().Add(c.host.net.latency + c.host.delay)
	c.wire = append(c.wire, s)
	c.host.conns[c] = struct{}{}
	if len(c.wire) == 1 {
		c.armLocked()
	}
}

// armLocked sets the one timer of this direction to the first arrival.
func (c *conn) armLocked() {
	d := time.Until(c.wire[0].at)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.deliver)
	} else {
		c.timer.Reset(d)
	}
}

// resendLocked starts everything on the wire anew.
func (c *conn) resendLocked(at time.Time) {
	for i := range c.wire {
		c.wire[i].at = at
	}
	if len(c.wire) > 0 {
		c.armLocked()
	}
}

// deliver hands over what has arrived. On a blocked link it does nothing, and
// whatever unblocks it calls resendLocked. It may be called at any time.
func (c *conn) deliver() {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for len(c.wire) > 0 && !c.blockedLocked() {
		if time.Now().Before(c.wire[0].at) {
			c.armLocked()
			return
		}
		s := c.wire[0]
		c.wire[0] = segment{} // frees its bytes
		c.wire = c.wire[1:]
		c.peer.receiveLocked(s)
	}
	c.forgetLocked()
}

// blockedLocked tells whether what this end says does not reach the other.
func (c *conn) blockedLocked() bool {
	n, l := c.host.net, link{c.host, c.peer.host}
	return n.blockedLocked(l) || c.gossip && n.mutes[l] || !c.gossip && n.hushes[l]
}

// receiveLocked is what the machine of this end does with a segment.
func (c *conn) receiveLocked(s segment) {
	switch {
	case s.kind == rst:
		c.resetLocked(c.resetMeaning())
	case c.deadLocked():
		if s.kind != fin { // who sent a fin waits for nothing
			c.transmitLocked(segment{kind: rst})
		}
	case s.kind == syn:
		if c.listener = c.host.listeners[uint16(c.local.Port)]; c.listener == nil {
			c.abortLocked()
			return
		}
		c.transmitLocked(segment{kind: synAck})
	case s.kind == synAck:
		c.up = true
		c.transmitLocked(segment{kind: ack})
	case s.kind == ack:
		c.up = true
		c.listener.pushLocked(c)
	case s.kind == fin:
		c.fin = true
	case s.kind == data:
		c.in.Write(s.data)
	}
	c.cond.Broadcast()
}

// resetMeaning is the error that a reset stands for, as on Linux.
func (c *conn) resetMeaning() syscall.Errno {
	switch {
	case !c.up:
		return syscall.ECONNREFUSED
	case c.fin:
		return syscall.EPIPE
	}
	return syscall.ECONNRESET
}

// opError wraps err as package net does. src and dst may be nil.
func opError(op string, src, dst *net.TCPAddr, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Err: err}
	if src != nil {
		e.Source = src
	}
	if dst != nil {
		e.Addr = dst
	}
	return e
}
