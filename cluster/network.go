package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// Network is where a node's sockets come from: the one seam between a node and
// the world. test/simnet has one in memory.
type Network interface {
	// Gossip opens a transport for memberlist at host:port; port 0 is any free
	// one. memberlist shuts it down.
	Gossip(bind string) (memberlist.Transport, error)
	// Listen accepts peers at host:port; port 0 is any free one.
	Listen(bind string) (net.Listener, error)
	// Dial connects to a peer.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// osNetwork is the operating system's.
type osNetwork struct {
	log   *slog.Logger
	seeds []string
}

// gossipTries is how often Gossip looks for a port that is free for both TCP
// and UDP, where any will do.
const gossipTries = 10

func (n osNetwork) Gossip(bind string) (memberlist.Transport, error) {
	address, err := net.ResolveTCPAddr("tcp", bind)
	if err != nil {
		return nil, err
	}
	host := "0.0.0.0"
	if address.IP != nil {
		host = address.IP.String()
	}
	for try := 1; ; try++ {
		t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{host},
			BindPort:  address.Port,
			Logger:    gossipLogger(n.log),
		})
		if err == nil {
			return osTransport{t, n.seeds}, nil
		}
		if address.Port != 0 || try == gossipTries {
			return nil, fmt.Errorf("listen on %s: %w", bind, err)
		}
	}
}

func (osNetwork) Listen(bind string) (net.Listener, error) {
	return net.Listen("tcp", bind)
}

func (osNetwork) Dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// osTransport advertises a better address than the first private one of the
// host, where it is bound to all of them: the one from which the seeds are
// reached.
type osTransport struct {
	*memberlist.NetTransport
	seeds []string
}

func (t osTransport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	given, bound, err := t.NetTransport.FinalAdvertiseAddr(ip, port)
	if ip != "" || err == nil && given.IsLoopback() {
		return given, bound, err
	}
	if own := towards(t.seeds); own != nil {
		return own, t.GetAutoBindPort(), nil
	}
	return given, bound, err
}

// towards returns the address of this host from which packets to a seed leave,
// or nil if that can't be told. No packet is sent.
func towards(seeds []string) net.IP {
	for _, seed := range seeds {
		conn, err := (&net.Dialer{Timeout: time.Second}).Dial("udp", seed)
		if err != nil {
			continue
		}
		ip := conn.LocalAddr().(*net.UDPAddr).IP
		_ = conn.Close()
		if !ip.IsLoopback() {
			return ip
		}
	}
	return nil
}
