package cutnet

import (
	"context"
	"io"
	"net"
	"sync"
)

// Host is where one replica runs. It implements cluster.Network and is safe for
// concurrent use.
type Host struct {
	net  *Net
	name string

	mu      sync.Mutex
	sockets map[io.Closer]bool
	dead    chan struct{} // closed by Kill
	killed  bool
}

// Host makes a host with a name that no living one has.
func (n *Net) Host(name string) *Host {
	return &Host{net: n, name: name, sockets: map[io.Closer]bool{}, dead: make(chan struct{})}
}

// Kill closes every socket of the host at once, and for good.
func (h *Host) Kill() {
	h.mu.Lock()
	if h.killed {
		h.mu.Unlock()
		return
	}
	h.killed = true
	close(h.dead)
	sockets := h.sockets
	h.sockets = nil
	h.mu.Unlock()
	for s := range sockets {
		if t, ok := s.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset instead of a farewell
		}
		_ = s.Close()
	}
}

// keep notes a socket for Kill; it closes and refuses what comes later.
func (h *Host) keep(s io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killed {
		_ = s.Close()
		return net.ErrClosed
	}
	h.sockets[s] = true
	return nil
}

func (h *Host) drop(s io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sockets, s)
}

// Listen implements cluster.Network.
func (h *Host) Listen(bind string) (net.Listener, error) {
	l, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, err
	}
	if err := h.keep(l); err != nil {
		return nil, err
	}
	h.net.note(l.Addr().String(), h.name)
	return &listener{Listener: l, host: h, closed: make(chan struct{})}, nil
}

// Dial implements cluster.Network. Across a cut it waits for ctx to end, or the cut.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	for {
		cut, changed := h.net.cut(h.name, address)
		if !cut {
			break
		}
		select {
		case <-changed:
		case <-h.dead:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	h.net.note(raw.LocalAddr().String(), h.name)
	return h.conn(raw)
}

// listener gives out connections of a host.
type listener struct {
	net.Listener
	host   *Host
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener. On a killed host it waits until it is closed: the
// node has not been told.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			select {
			case <-l.host.dead:
				<-l.closed
				return nil, net.ErrClosed
			default:
				return nil, err
			}
		}
		if c, err := l.host.conn(raw); err == nil {
			return c, nil
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.host.drop(l.Listener)
	})
	return l.Listener.Close()
}
