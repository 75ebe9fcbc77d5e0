package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip is one port for packets and streams. It is open while the host's table of
// packet ports has it, so that Kill and Restart close it as well.
type gossip struct {
	host      *Host
	port      uint16
	listener  *listener
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	ctx       context.Context // of its dials; done at Shutdown
	cancel    context.CancelFunc
	accepting sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*gossip)(nil)

// Gossip opens a port for memberlist, for packets and for streams; bind and errors
// are as for Listen. FinalAdvertiseAddr tells the port. A caller that hands the
// transport to nobody has to call its Shutdown.
func (h *Host) Gossip(bind string) (memberlist.Transport, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	l, err := h.listenLocked(bind)
	if err != nil {
		return nil, err
	}
	g := &gossip{
		host:     h,
		port:     uint16(l.addr.Port),
		listener: l,
		packets:  make(chan *memberlist.Packet, packetQueue),
		streams:  make(chan net.Conn),
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	h.packets[g.port] = g
	g.accepting.Go(g.accept)
	return g, nil
}

// accept passes on streams until the port closes.
func (g *gossip) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return
		}
		select {
		case g.streams <- c:
		case <-g.ctx.Done():
			c.Close()
		}
	}
}

// FinalAdvertiseAddr gives the host's IP and the bound port. An ip of the user's own is
// advertised as it stands, as memberlist's real transport does, so that a wrong
// one fails here too; port 0 with it means the bound one.
func (g *gossip) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return g.listener.addr.IP, int(g.port), nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("simnet: advertise address: %w", err)
	}
	if port == 0 {
		port = int(g.port)
	}
	return addr.Unmap().AsSlice(), port, nil
}

// DialTimeout opens a stream.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if !g.open() {
		return nil, opError("dial", nil, nil, net.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	defer cancel()
	return g.host.Dial(ctx, addr)
}

// WriteToAddress is WriteTo; the node's name does not matter here.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return g.WriteTo(b, a.Addr)
}

// DialAddressTimeout is DialTimeout; the node's name does not matter here.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(a.Addr, timeout)
}

// PacketCh gives the packets that arrive. It is never closed.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh gives the streams that peers open. It is never closed.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// Shutdown closes the port, gives up its dials and waits for its goroutine. It may be
// called again.
func (g *gossip) Shutdown() error {
	g.cancel()
	g.host.net.mu.Lock()
	if g.openLocked() {
		delete(g.host.packets, g.port)
	}
	g.host.net.mu.Unlock()
	err := g.listener.Close()
	g.accepting.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (g *gossip) open() bool {
	g.host.net.mu.Lock()
	defer g.host.net.mu.Unlock()
	return g.openLocked()
}

func (g *gossip) openLocked() bool { return g.host.packets[g.port] == g }
