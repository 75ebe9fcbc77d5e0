package cluster

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

// shakyNetwork panics in all that it has handed out, as long as it is told to.
type shakyNetwork struct {
	Network
	broken *atomic.Bool
}

func (s shakyNetwork) shake() {
	if s.broken.Load() {
		panic("network")
	}
}

func (s shakyNetwork) Listen(bind string) (net.Listener, error) {
	l, err := s.Network.Listen(bind)
	return shakyListener{l, s}, err
}

func (s shakyNetwork) Dial(ctx context.Context, address string) (net.Conn, error) {
	s.shake()
	conn, err := s.Network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return shakyConn{conn, s}, nil
}

type shakyListener struct {
	net.Listener
	network shakyNetwork
}

func (l shakyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.network.broken.Load() {
		_ = conn.Close()
	}
	l.network.shake()
	return shakyConn{conn, l.network}, nil
}

type shakyConn struct {
	net.Conn
	network shakyNetwork
}

func (c shakyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.network.shake()
	return n, err
}

func (c shakyConn) Write(b []byte) (int, error) {
	c.network.shake()
	return c.Conn.Write(b)
}

func (c shakyConn) Close() error {
	_ = c.Conn.Close()
	c.network.shake()
	return nil
}

// A Network whose connections panic for a while takes nobody along: callers have their
// failure policy meanwhile, and the holder's decisions afterwards.
func TestConnectionsThatPanic(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net) {
		var broken atomic.Bool
		var ns []*Node
		for i := range 2 {
			c := on(n, fmt.Sprint("10.0.0.", i+1), string(rune('a'+i)))
			c.Network = shakyNetwork{c.Network, &broken}
			ns = append(ns, start(t, c))
		}
		ready := func() bool {
			return len(ns[0].Members()) == 2 && len(ns[1].Members()) == 2 && ns[0].Ready() && ns[1].Ready()
		}
		eventually(t, 3*time.Second, "both are ready", ready)
		rule := bucket.MustRule("api", "5/day")
		key := ""
		for i := 0; key == "" || ns[0].Owner(rule, key) != "b"; i++ {
			key = fmt.Sprint("key ", i)
		}
		asks := func() bucket.Decision {
			d, err := ns[0].Take(t.Context(), rule, key, 1)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := asks(); !d.Allowed || d.Degraded {
			t.Errorf("at first: %+v", d)
		}
		broken.Store(true)
		time.Sleep(2 * time.Second)
		if d := asks(); !d.Allowed || !d.Degraded {
			t.Errorf("meanwhile: %+v", d)
		}
		if panics := ns[0].Metrics().Panics + ns[1].Metrics().Panics; panics == 0 {
			t.Error("no panic was counted")
		}
		broken.Store(false)
		eventually(t, 10*time.Second, "the holder decides again", func() bool { return !asks().Degraded })
	})
}
