package cutnet

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossipTries is how often Gossip looks for a port that is free for both TCP and UDP.
const gossipTries = 10

// Gossip implements cluster.Network.
func (h *Host) Gossip(bind string) (memberlist.Transport, error) {
	address, err := net.ResolveTCPAddr("tcp", bind)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{address.IP.String()},
			BindPort:  address.Port,
			Logger:    slog.NewLogLogger(h.net.log.Handler(), slog.LevelDebug),
		})
		if err == nil {
			return h.gossip(t, address.IP)
		}
		if address.Port != 0 || try == gossipTries {
			return nil, err
		}
	}
}

func (h *Host) gossip(t *memberlist.NetTransport, ip net.IP) (memberlist.Transport, error) {
	if err := h.keep(shutdown{t}); err != nil {
		return nil, err
	}
	g := &gossip{
		NodeAwareTransport: t,
		host:               h,
		address:            net.JoinHostPort(ip.String(), strconv.Itoa(t.GetAutoBindPort())),
		streams:            make(chan net.Conn),
		done:               make(chan struct{}),
		relayed:            make(chan struct{}),
	}
	h.net.note(g.address, h.name)
	go g.relay()
	return g, nil
}

// shutdown is a transport as something that can be closed.
type shutdown struct{ t *memberlist.NetTransport }

func (s shutdown) Close() error { return s.t.Shutdown() }

// gossip is memberlist's transport, with a cut in it.
type gossip struct {
	memberlist.NodeAwareTransport
	host    *Host
	address string
	streams chan net.Conn
	done    chan struct{} // closed by Shutdown
	relayed chan struct{} // closed when relay has ended
}

// relay hands on the streams that are accepted.
func (g *gossip) relay() {
	defer close(g.relayed)
	for {
		select {
		case <-g.done:
			return
		case raw := <-g.NodeAwareTransport.StreamCh():
			c, err := g.host.conn(raw)
			if err != nil {
				continue
			}
			select {
			case g.streams <- c:
			case <-g.done:
				_ = c.Close()
				return
			}
		}
	}
}

// StreamCh implements memberlist.Transport.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// WriteTo implements memberlist.Transport.
func (g *gossip) WriteTo(b []byte, address string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: address})
}

// WriteToAddress implements memberlist.NodeAwareTransport. What can't arrive is lost
// without a word.
func (g *gossip) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	select {
	case <-g.host.dead:
		return time.Now(), nil
	default:
	}
	if cut, _ := g.host.net.cut(g.host.name, to.Addr); cut {
		return time.Now(), nil
	}
	return g.NodeAwareTransport.WriteToAddress(b, to)
}

// DialTimeout implements memberlist.Transport.
func (g *gossip) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return g.host.Dial(ctx, address)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (g *gossip) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(to.Addr, timeout)
}

// Shutdown implements memberlist.Transport. It is called once. Streams are relayed to
// the last, as the transport waits until it is rid of what it has accepted.
func (g *gossip) Shutdown() error {
	err := g.NodeAwareTransport.Shutdown()
	close(g.done)
	<-g.relayed
	return err
}
