package simnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	firstPort      = 20000 // what Listen gives for port 0
	firstEphemeral = 40000 // the local port of a Dial
)

// state is the health of a host.
type state uint8

const (
	up      state = iota
	killed        // the machine runs and answers, no program runs on it
	crashed       // the machine is off
)

// Host is a machine on a Net, with one IP and at most one program at a time.
// All its methods may be called from any goroutine.
type Host struct {
	net       *Net
	ip        netip.Addr
	state     state
	delay     time.Duration // of what it sends, beyond the latency
	listeners map[uint16]*listener
	packets   map[uint16]*gossip
	conns     map[*conn]struct{} // ends of streams here that live or have something under way
	port      uint16             // next to try for Listen
	ephemeral uint16             // next for Dial
}

func newHost(n *Net, ip netip.Addr) *Host {
	return &Host{
		net:       n,
		ip:        ip,
		listeners: map[uint16]*listener{},
		packets:   map[uint16]*gossip{},
		conns:     map[*conn]struct{}{},
		port:      firstPort,
		ephemeral: firstEphemeral,
	}
}

// Addr returns the IP of the host.
func (h *Host) Addr() string { return h.ip.String() }

// Listen opens a port for streams. The IP of bind may be empty, unspecified or the
// host's own; port 0 takes the next free one. The listener's Addr always has the
// host's IP. Errors are *net.OpError: EADDRINUSE, EADDRNOTAVAIL, or ENETDOWN on a
// host that is down.
func (h *Host) Listen(bind string) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.listenLocked(bind)
}

func (h *Host) listenLocked(bind string) (*listener, error) {
	port, err := h.parseBind(bind)
	if err != nil {
		return nil, opError("listen", nil, nil, err)
	}
	if port == 0 {
		port = h.freePortLocked()
	}
	addr := h.tcpAddr(port)
	switch {
	case h.state != up:
		return nil, opError("listen", nil, addr, os.NewSyscallError("bind", syscall.ENETDOWN))
	case h.listeners[port] != nil:
		return nil, opError("listen", nil, addr, os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	l := newListener(h, addr)
	h.listeners[port] = l
	return l, nil
}

// parseBind returns the port of a bind address, if the rest of it is this host.
func (h *Host) parseBind(bind string) (uint16, error) {
	ip, p, err := net.SplitHostPort(bind)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return 0, &net.AddrError{Err: "invalid port", Addr: bind}
	}
	if ip == "" {
		return uint16(port), nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return 0, &net.AddrError{Err: "not an IP", Addr: bind}
	}
	if addr = addr.Unmap(); addr != h.ip && !addr.IsUnspecified() {
		return 0, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return uint16(port), nil
}

func (h *Host) freePortLocked() uint16 {
	for h.listeners[h.port] != nil {
		h.port++
	}
	h.port++
	return h.port - 1
}

// Dial opens a stream to addr, an "ip:port". It takes one round trip, also to be
// refused where nobody listens. Where nothing answers (a cut link, a crashed
// host, an IP that no host has) it keeps trying until ctx is done. Errors are
// *net.OpError around ECONNREFUSED, ctx.Err(), or ENETDOWN from a killed host.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, opError("dial", nil, nil, &net.AddrError{Err: "not an ip:port", Addr: addr})
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	c := h.newStreamLocked(to)
	if h.state == killed {
		return nil, opError("dial", nil, c.remote, os.NewSyscallError("connect", syscall.ENETDOWN))
	}
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", nil, c.remote, err)
	}
	c.transmitLocked(segment{kind: syn})
	stop := context.AfterFunc(ctx, c.wake)
	defer stop()
	for !c.up && !c.deadLocked() && ctx.Err() == nil {
		c.cond.Wait()
	}
	switch {
	case c.up:
		return c, nil
	case c.reset != 0:
		return nil, opError("dial", nil, c.remote, os.NewSyscallError("connect", c.reset))
	case c.closed: // by Kill
		return nil, opError("dial", nil, c.remote, net.ErrClosed)
	}
	c.abortLocked()
	return nil, opError("dial", nil, c.remote, ctx.Err())
}

func (h *Host) tcpAddr(port uint16) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, port))
}
