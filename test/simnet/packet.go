package simnet

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	packetQueue = 1024  // packets that wait for memberlist; more are dropped
	maxPacket   = 65507 // what UDP over IPv4 can carry
)

// WriteTo sends a packet. That it got lost is no error, as with UDP.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("simnet: packet to %q: %w", addr, err)
	}
	if len(b) > maxPacket {
		return time.Time{}, g.packetError(os.NewSyscallError("sendto", syscall.EMSGSIZE))
	}
	n := g.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !g.openLocked() {
		return time.Time{}, g.packetError(net.ErrClosed)
	}
	dst := n.hosts[to.Addr().Unmap()]
	if dst == nil || n.losesLocked() || n.mutedLocked(link{g.host, dst}) {
		return time.Now(), nil
	}
	b = bytes.Clone(b) // memberlist uses its buffer again
	time.AfterFunc(n.latency+g.host.delay, func() { g.arrive(dst, to.Port(), b) })
	return time.Now(), nil
}

// arrive hands a packet from g to whoever has the port by now.
func (g *gossip) arrive(dst *Host, port uint16, b []byte) {
	g.host.net.mu.Lock()
	defer g.host.net.mu.Unlock()
	to := dst.packets[port]
	if to == nil || g.host.net.mutedLocked(link{g.host, dst}) {
		return
	}
	select {
	case to.packets <- &memberlist.Packet{Buf: b, From: g.udpAddr(), Timestamp: time.Now()}:
	default: // a full socket buffer
	}
}

func (g *gossip) udpAddr() *net.UDPAddr {
	return &net.UDPAddr{IP: g.listener.addr.IP, Port: int(g.port)}
}

func (g *gossip) packetError(err error) error {
	return &net.OpError{Op: "write", Net: "udp", Source: g.udpAddr(), Err: err}
}
