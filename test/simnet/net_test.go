package simnet_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/shoal-dev/shoal/test/simnet"
)

// network is what cluster.Network asks for.
type network interface {
	Gossip(bind string) (memberlist.Transport, error)
	Listen(bind string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

var _ network = (*simnet.Host)(nil)

const latency = 3 * time.Millisecond

// bubble runs a test on a fresh network with two hosts.
func bubble(t *testing.T, f func(t *testing.T, n *simnet.Net, a, b *simnet.Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(simnet.Options{Latency: latency})
		f(t, n, n.Host("10.0.0.1"), n.Host("10.0.0.2"))
	})
}

// stream opens a stream from a to b, and closes both ends with the test.
func stream(t *testing.T, a, b *simnet.Host) (client, server net.Conn) {
	t.Helper()
	l := listen(t, b, ":0")
	client, err := a.Dial(t.Context(), l.Addr().String())
	ok(t, err)
	server, err = l.Accept()
	ok(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func listen(t *testing.T, h *simnet.Host, bind string) net.Listener {
	t.Helper()
	l, err := h.Listen(bind)
	ok(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	n, err := io.WriteString(c, s)
	ok(t, err)
	if n != len(s) {
		t.Fatalf("wrote %d of %d", n, len(s))
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

// silent checks that c hears nothing for a minute.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	ok(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	n, err := c.Read(make([]byte, 1))
	if e, timeout := err.(net.Error); n != 0 || !timeout || !e.Timeout() {
		t.Fatalf("read %d, %v; want a timeout", n, err)
	}
	ok(t, c.SetReadDeadline(time.Time{}))
}

// took checks how much of the bubble's time f needs.
func took(t *testing.T, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != want {
		t.Fatalf("took %v, want %v", got, want)
	}
}
