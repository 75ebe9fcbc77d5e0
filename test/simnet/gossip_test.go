package simnet_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/shoal-dev/shoal/test/simnet"
)

func TestPacketsArriveAfterTheLatencyOrNever(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		from, to := gossip(t, a), gossip(t, b)
		buf := []byte("ping")
		sent, err := from.WriteTo(buf, "10.0.0.2:7946")
		ok(t, err)
		copy(buf, "XXXX") // memberlist uses its buffers again
		p := <-to.PacketCh()
		if string(p.Buf) != "ping" || p.From.String() != "10.0.0.1:7946" || p.Timestamp.Sub(sent) != latency {
			t.Errorf("got %q from %v after %v", p.Buf, p.From, p.Timestamp.Sub(sent))
		}
		lost := func(why string, before func()) {
			t.Helper()
			from.WriteTo(buf, "10.0.0.2:7946") // under way
			before()
			from.WriteTo(buf, "10.0.0.2:7946")
			time.Sleep(time.Second)
			if len(to.PacketCh()) != 0 {
				t.Errorf("a packet came through %s", why)
			}
		}
		lost("a cut", func() { n.CutOneWay(a, b) })
		n.HealAll()
		lost("a crash", b.Crash)
		b.Restart() // to is of the earlier life
		lost("a restart", func() {})
		if _, err := to.WriteTo(buf, "10.0.0.1:7946"); err == nil {
			t.Error("a transport of an earlier life still sends")
		}
	})
}

func TestAFullQueueDropsPackets(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		from, to := gossip(t, a), gossip(t, b)
		for range 5000 {
			from.WriteTo([]byte{1}, "10.0.0.2:7946")
		}
		time.Sleep(time.Second)
		if n := len(to.PacketCh()); n != 1024 {
			t.Errorf("%d packets wait", n)
		}
		if _, err := from.WriteTo(make([]byte, 1<<16), "10.0.0.2:7946"); err == nil {
			t.Error("a packet of 64 KiB was sent")
		}
	})
}

func TestLoss(t *testing.T) {
	lost := func(seed uint64) (pattern string) {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(simnet.Options{Seed: seed})
			from, to := gossip(t, n.Host("10.0.0.1")), gossip(t, n.Host("10.0.0.2"))
			n.SetLoss(0.2)
			for range 2500 {
				from.WriteTo([]byte{1}, "10.0.0.2:7946")
				time.Sleep(time.Millisecond)
				pattern += fmt.Sprint(len(to.PacketCh()))
				for len(to.PacketCh()) > 0 {
					<-to.PacketCh()
				}
			}
		})
		return pattern
	}
	one := lost(1)
	n := 0
	for _, c := range one {
		n += int('1' - c)
	}
	if n < 420 || n > 580 { // standard deviation 20
		t.Errorf("%d of 2500 lost, want about 500", n)
	}
	if lost(1) != one || lost(2) == one {
		t.Error("the seed does not decide which packets are lost")
	}
}

func TestAdvertiseAddress(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, _ *simnet.Host) {
		g, err := a.Gossip("0.0.0.0:0")
		ok(t, err)
		defer g.Shutdown()
		ip, port, err := g.FinalAdvertiseAddr("", 7946)
		if ip.String() != "10.0.0.1" || port != 20000 || err != nil {
			t.Errorf("got %v:%d, %v", ip, port, err)
		}
		ip, port, err = g.FinalAdvertiseAddr("192.0.2.1", 1234)
		if ip.String() != "192.0.2.1" || port != 1234 || err != nil {
			t.Errorf("an address of the user's: got %v:%d, %v", ip, port, err)
		}
	})
}

func gossip(t *testing.T, h *simnet.Host) memberlist.Transport {
	t.Helper()
	g, err := h.Gossip(":7946")
	ok(t, err)
	t.Cleanup(func() { g.Shutdown() })
	return g
}

// members are five real memberlist nodes.
type members struct {
	net   *simnet.Net
	hosts []*simnet.Host
	nodes []*memberlist.Memberlist
}

func fiveMembers(t *testing.T) *members {
	t.Helper()
	t.Cleanup(simnet.Drain)
	m := &members{net: simnet.New(simnet.Options{})}
	for i := range 5 {
		h := m.net.Host(fmt.Sprintf("10.0.0.%d", i+1))
		m.hosts = append(m.hosts, h)
		m.nodes = append(m.nodes, member(t, h, fmt.Sprint("node", i)))
	}
	for _, node := range m.nodes[1:] {
		_, err := node.Join([]string{"10.0.0.1:7946"})
		ok(t, err)
	}
	return m
}

// member starts memberlist with the timing of DESIGN.md. At the default RetransmitMult
// of 4, one join in fifty stays unknown to some node until the next push/pull. A
// name must not be a bare IP: memberlist then looks nodes up by it, in a data race.
func member(t *testing.T, h *simnet.Host, name string) *memberlist.Memberlist {
	t.Helper()
	cfg := memberlist.DefaultLANConfig()
	tr, err := h.Gossip(":7946")
	ok(t, err)
	cfg.Name, cfg.Transport, cfg.LogOutput = name, tr, io.Discard
	cfg.ProbeInterval, cfg.ProbeTimeout = 200*time.Millisecond, 100*time.Millisecond
	cfg.GossipInterval, cfg.SuspicionMult = 50*time.Millisecond, 4
	cfg.RetransmitMult, cfg.EnableCompression = 8, false
	node, err := memberlist.Create(cfg)
	ok(t, err)
	t.Cleanup(func() { node.Shutdown() })
	return node
}

// wait returns when each of the nodes sees want members, or fails after limit.
func (m *members) wait(t *testing.T, want int, limit time.Duration, nodes ...int) {
	t.Helper()
	start := time.Now()
	for _, i := range nodes {
		for m.nodes[i].NumMembers() != want {
			time.Sleep(10 * time.Millisecond)
			if time.Since(start) > limit {
				t.Fatalf("node %d sees %d members after %v, want %d", i, m.nodes[i].NumMembers(), limit, want)
			}
		}
	}
	t.Logf("nodes %v see %d members after %v", nodes, want, time.Since(start))
}

func TestMemberlistSeesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fiveMembers(t)
		m.wait(t, 5, time.Second, 0, 1, 2, 3, 4)
		m.net.SetLoss(0.05)
		time.Sleep(20 * time.Second)
		m.wait(t, 5, 0, 0, 1, 2, 3, 4)
		m.hosts[2].Crash()
		m.wait(t, 4, 3*time.Second, 0, 1, 3, 4)
	})
}

func TestMemberlistSeesAKillAndARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fiveMembers(t)
		m.wait(t, 5, time.Second, 0, 1, 2, 3, 4)
		m.hosts[4].Kill()
		m.wait(t, 4, 3*time.Second, 0, 1, 2, 3)
		m.nodes[4].Shutdown()
		m.hosts[4].Restart()
		_, err := member(t, m.hosts[4], "node4 again").Join([]string{"10.0.0.2:7946"})
		ok(t, err)
		m.wait(t, 5, time.Second, 0, 1, 2, 3)
	})
}

func TestMemberlistSeesAPartitionOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fiveMembers(t)
		m.wait(t, 5, time.Second, 0, 1, 2, 3, 4)
		m.net.Partition(m.hosts[:2], m.hosts[2:])
		m.wait(t, 3, 5*time.Second, 2, 3, 4)
		m.wait(t, 2, 10*time.Second, 0, 1)
		m.net.HealAll()
		_, err := m.nodes[0].Join([]string{"10.0.0.3:7946"}) // it does not heal by itself
		ok(t, err)
		m.wait(t, 5, 10*time.Second, 0, 1, 2, 3, 4)
	})
}
