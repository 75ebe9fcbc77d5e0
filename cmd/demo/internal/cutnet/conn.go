package cutnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// conn is an end of a stream, at which nothing arrives while there is a cut between it
// and the other.
type conn struct {
	net.Conn
	host   *Host
	peer   string // the address of the other end
	once   sync.Once
	closed chan struct{}

	reading sync.Mutex // held by the one Read that is under way
	held    []byte     // has arrived, and not been read

	mu       sync.Mutex
	deadline time.Time     // of reads
	moved    chan struct{} // closed, and replaced, when the deadline has changed
}

// conn wraps a connection of the host, unless that is dead.
func (h *Host) conn(raw net.Conn) (net.Conn, error) {
	if err := h.keep(raw); err != nil {
		return nil, err
	}
	return &conn{Conn: raw, host: h, peer: raw.RemoteAddr().String(),
		closed: make(chan struct{}), moved: make(chan struct{})}, nil
}

// Read implements net.Conn. What has come over the wire during a cut stays here until
// it has healed; so does an end.
func (c *conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(c.held) == 0 {
		n, err := c.Conn.Read(b)
		if n == 0 || err != nil && os.IsTimeout(err) {
			return n, c.wait(err)
		}
		c.held = append(c.held[:0], b[:n]...)
	}
	if err := c.wait(nil); err != nil {
		return 0, err
	}
	n := copy(b, c.held)
	c.held = c.held[n:]
	return n, nil
}

// wait returns err when what has arrived may be seen; or that it has waited for too long.
func (c *conn) wait(err error) error {
	for {
		cut, changed := c.host.net.cut(c.host.name, c.peer)
		if !cut {
			return err
		}
		c.mu.Lock()
		deadline, moved := c.deadline, c.moved
		c.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-changed:
		case <-moved:
		case <-late:
			return os.ErrDeadlineExceeded
		case <-c.closed:
			return net.ErrClosed
		case <-c.host.dead:
			return net.ErrClosed
		}
	}
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.move(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.move(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) move(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.moved)
	c.moved = make(chan struct{})
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.host.drop(c.Conn)
	})
	return c.Conn.Close()
}
