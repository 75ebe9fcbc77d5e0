package simnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes of one direction may be sent and not yet read. Write
// blocks beyond it.
const window = 256 << 10

// conn is one end of a stream. Everything in it is guarded by the network's lock.
type conn struct {
	host          *Host
	gossip        bool // to a port for gossip
	peer          *conn
	local, remote *net.TCPAddr
	listener      *listener  // of the end that was dialled
	cond          *sync.Cond // anything below changed

	wire   []segment   // sent by this end, not yet arrived
	timer  *time.Timer // arrival of wire[0]
	unread int         // bytes sent by this end, not yet read by the peer
	in     bytes.Buffer

	readBy, writeBy deadline
	writing         bool // a Write is under way; a second one waits, or they'd mix

	up     bool          // the stream is open
	fin    bool          // the peer has closed; in ends here
	lost   bool          // the machine crashed under it
	closed bool          // by its owner, or with its owner by Kill
	reset  syscall.Errno // why it broke; 0 while whole
}

// Read implements net.Conn. Bytes that arrived before a reset can still be read.
func (c *conn) Read(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, opError("read", c.local, c.remote, net.ErrClosed)
		case c.readBy.passed():
			return 0, opError("read", c.local, c.remote, os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case c.in.Len() > 0:
			n, _ := c.in.Read(b)
			c.peer.unread -= n
			c.peer.cond.Broadcast()
			return n, nil
		case c.fin:
			return 0, io.EOF
		case c.reset != 0:
			return 0, opError("read", c.local, c.remote, os.NewSyscallError("read", c.reset))
		}
		c.cond.Wait()
	}
}

// Write implements net.Conn. It returns when the last byte has room in the window,
// not when it arrives.
func (c *conn) Write(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for c.writing && c.writeErrLocked() == nil {
		c.cond.Wait()
	}
	if err := c.writeErrLocked(); err != nil {
		return 0, err
	}
	c.writing = true
	defer func() {
		c.writing = false
		c.cond.Broadcast()
	}()
	return c.writeLocked(b)
}

func (c *conn) writeLocked(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		if err := c.writeErrLocked(); err != nil {
			return sent, err
		}
		if c.lost {
			return len(b), nil
		}
		room := min(window-c.unread, len(b)-sent)
		if room == 0 {
			c.cond.Wait()
			continue
		}
		c.transmitLocked(segment{data: bytes.Clone(b[sent : sent+room])})
		c.unread += room
		sent += room
	}
	return sent, nil
}

func (c *conn) writeErrLocked() error {
	switch {
	case c.closed:
		return opError("write", c.local, c.remote, net.ErrClosed)
	case c.writeBy.passed():
		return opError("write", c.local, c.remote, os.ErrDeadlineExceeded)
	case c.reset != 0:
		return opError("write", c.local, c.remote, os.NewSyscallError("write", c.reset))
	}
	return nil
}

// Close implements net.Conn. The peer reads what is under way, then io.EOF.
func (c *conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return opError("close", c.local, c.remote, net.ErrClosed)
	}
	if !c.deadLocked() && !c.lost {
		c.transmitLocked(segment{kind: fin})
		if c.in.Len() > 0 { // never to be read: its writer must not wait for room
			c.transmitLocked(segment{kind: rst})
		}
	}
	c.endLocked()
	return nil
}

// LocalAddr implements net.Conn; it is a *net.TCPAddr.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn; it is a *net.TCPAddr.
func (c *conn) RemoteAddr() net.Addr { return c.remote }
