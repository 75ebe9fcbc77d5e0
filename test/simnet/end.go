package simnet

import (
	"net"
	"syscall"
	"time"
)

// This file is how an end of a stream ends, and when its calls give up.

// deadLocked tells whether nothing more can be said at this end.
func (c *conn) deadLocked() bool { return c.closed || c.reset != 0 }

// abortLocked ends c as the kernel does when the process is gone: the peer is told
// by a reset, behind the bytes under way.
func (c *conn) abortLocked() {
	if c.deadLocked() {
		return
	}
	switch {
	case len(c.wire) > 0 && c.wire[0].kind == syn:
		c.wire = nil // the peer has not heard of this stream
	case !c.lost:
		c.transmitLocked(segment{kind: rst})
	}
	c.endLocked()
}

// endLocked closes this end without a word.
func (c *conn) endLocked() {
	c.closed = true
	c.in.Reset()
	c.readBy.set(time.Time{}, nil)
	c.writeBy.set(time.Time{}, nil)
	c.forgetLocked()
	c.cond.Broadcast()
}

// resetLocked breaks this end: what it sent and the peer has not heard is lost.
func (c *conn) resetLocked(why syscall.Errno) {
	c.reset = why
	c.wire = nil
	c.forgetLocked()
	c.cond.Broadcast()
}

// breakLocked is resetLocked for a stream that is open.
func (c *conn) breakLocked() {
	if c.up && !c.deadLocked() {
		c.resetLocked(syscall.ECONNRESET)
	}
}

// forgetLocked drops the host's hold on an end with nothing more to say.
func (c *conn) forgetLocked() {
	if c.deadLocked() && len(c.wire) == 0 {
		delete(c.host.conns, c)
	}
}

// wake makes every call that waits on c look again.
func (c *conn) wake() {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	c.cond.Broadcast()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy, &c.writeBy) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *conn) setDeadlines(t time.Time, ds ...*deadline) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return opError("set", c.local, c.remote, net.ErrClosed)
	}
	for _, d := range ds {
		d.set(t, c.wake)
	}
	return nil
}

// deadline is a time after which calls fail, and the timer that wakes those waiting
// for something else. The zero time is no deadline.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at, d.timer = t, nil
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), wake)
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
