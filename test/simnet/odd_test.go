package simnet_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
)

func TestResetBreaksWhatIsOpen(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		back, again := stream(t, b, a)
		other, there := stream(t, a, n.Host("10.0.0.3"))
		say(t, c, "under way")
		n.Reset(a, b)
		for _, c := range []net.Conn{c, s, back, again} {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if err := writeErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}
		say(t, other, "whole")
		hear(t, there, "whole")
		c, s = stream(t, a, b)
		say(t, c, "anew")
		hear(t, s, "anew")
	})
}

func TestMuteCutsGossipAlone(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		from, to := gossip(t, a), gossip(t, b)
		c, s := stream(t, a, b)
		n.Mute(b, a)
		from.WriteTo([]byte{1}, "10.0.0.2:7946")
		if _, err := from.DialTimeout("10.0.0.2:7946", time.Second); err == nil {
			t.Error("a stream of gossip was opened")
		}
		say(t, c, "hits")
		hear(t, s, "hits")
		if len(to.PacketCh()) > 0 {
			t.Error("a packet has arrived")
		}
		n.HealAll()
		from.WriteTo([]byte{1}, "10.0.0.2:7946")
		time.Sleep(2 * latency)
		if len(to.PacketCh()) != 1 {
			t.Error("no packet has arrived")
		}
		opened, err := from.DialTimeout("10.0.0.2:7946", time.Second)
		ok(t, err)
		opened.Close()
		(<-to.StreamCh()).Close()
	})
}

func TestHushSparesGossipAlone(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		from, to := gossip(t, a), gossip(t, b)
		c, s := stream(t, a, b)
		n.Hush(a, b)
		from.WriteTo([]byte{1}, "10.0.0.2:7946")
		opened, err := from.DialTimeout("10.0.0.2:7946", time.Second)
		ok(t, err)
		opened.Close()
		(<-to.StreamCh()).Close()
		if len(to.PacketCh()) != 1 {
			t.Error("no packet has arrived")
		}
		say(t, c, "hits")
		silent(t, s)
		n.HealAll()
		hear(t, s, "hits")
	})
}

func TestDelayIsThatOfOneHost(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		b.SetDelay(time.Second)
		took(t, latency, func() { say(t, c, "there"); hear(t, s, "there") })
		took(t, latency+time.Second, func() { say(t, s, "back"); hear(t, c, "back") })
	})
}
