package main

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/cluster"
)

// meter counts what all nodes of a network send: packets and streams of gossip, and
// the streams between peers. A stream is counted where it was dialed, both ways.
type meter struct{ packets, gossip, writes, peers atomic.Int64 }

// traffic is what a meter has counted: packets of gossip and their bytes, with those
// of its streams; and what peers wrote, and the bytes of that.
type traffic struct{ packets, gossip, writes, peers int64 }

func (m *meter) read() traffic {
	return traffic{m.packets.Load(), m.gossip.Load(), m.writes.Load(), m.peers.Load()}
}

func (t traffic) since(before traffic) traffic {
	return traffic{t.packets - before.packets, t.gossip - before.gossip, t.writes - before.writes, t.peers - before.peers}
}

// metered is a network that is counted.
type metered struct {
	cluster.Network
	meter *meter
}

func (n metered) Gossip(bind string) (memberlist.Transport, error) {
	t, err := n.Network.Gossip(bind)
	if err != nil {
		return nil, err
	}
	return meteredGossip{t.(memberlist.NodeAwareTransport), n.meter}, nil
}

func (n metered) Dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := n.Network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return meteredConn{c, &n.meter.writes, &n.meter.peers}, nil
}

type meteredGossip struct {
	memberlist.NodeAwareTransport
	meter *meter
}

func (g meteredGossip) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	g.meter.packets.Add(1)
	g.meter.gossip.Add(int64(len(b)))
	return g.NodeAwareTransport.WriteToAddress(b, to)
}

func (g meteredGossip) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	c, err := g.NodeAwareTransport.DialAddressTimeout(to, timeout)
	if err != nil {
		return nil, err
	}
	return meteredConn{c, &g.meter.packets, &g.meter.gossip}, nil
}

// meteredConn counts what is written, as pieces and bytes, and read, alike.
type meteredConn struct {
	net.Conn
	pieces, bytes *atomic.Int64
}

func (c meteredConn) Write(b []byte) (int, error) { return c.count(c.Conn.Write(b)) }
func (c meteredConn) Read(b []byte) (int, error)  { return c.count(c.Conn.Read(b)) }

func (c meteredConn) count(n int, err error) (int, error) {
	if n > 0 {
		c.pieces.Add(1)
		c.bytes.Add(int64(n))
	}
	return n, err
}
