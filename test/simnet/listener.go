package simnet

import (
	"net"
	"sync"
)

// listener is an open port and the streams that wait there to be accepted.
type listener struct {
	host    *Host
	addr    *net.TCPAddr
	cond    *sync.Cond // on the network's lock: backlog or closed changed
	backlog []*conn    // unbounded: tests open few
	closed  bool
}

func newListener(h *Host, addr *net.TCPAddr) *listener {
	return &listener{host: h, addr: addr, cond: sync.NewCond(&h.net.mu)}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, opError("accept", nil, l.addr, net.ErrClosed)
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// Addr implements net.Listener; it is a *net.TCPAddr.
func (l *listener) Addr() net.Addr { return l.addr }

// Close implements net.Listener. Streams that nobody accepted are reset.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return opError("close", nil, l.addr, net.ErrClosed)
	}
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	delete(l.host.listeners, uint16(l.addr.Port))
	for _, c := range l.backlog {
		c.abortLocked()
	}
	l.backlog = nil
	l.cond.Broadcast()
}

// pushLocked takes a stream whose opening is complete.
func (l *listener) pushLocked(c *conn) {
	if l.closed {
		c.abortLocked()
		return
	}
	l.backlog = append(l.backlog, c)
	l.cond.Signal()
}
