package simnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
)

func TestEchoTakesExactlyARoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		l := listen(t, b, "0.0.0.0:7000")
		var server net.Conn
		var wg sync.WaitGroup
		wg.Go(func() {
			server, _ = l.Accept()
			io.Copy(server, server)
			server.Close()
		})
		var c net.Conn
		took(t, 2*latency, func() {
			var err error
			c, err = a.Dial(t.Context(), "10.0.0.2:7000")
			ok(t, err)
		})
		for range 3 {
			took(t, 2*latency, func() { say(t, c, "hello"); hear(t, c, "hello") })
		}
		n.SetLatency(time.Second)
		took(t, 2*time.Second, func() { say(t, c, "slow"); hear(t, c, "slow") })
		n.SetLatency(0)
		took(t, 0, func() { say(t, c, "fast"); hear(t, c, "fast") })
		ok(t, c.Close())
		wg.Wait()
		addr := func(a net.Addr) string { return a.(*net.TCPAddr).String() }
		if addr(c.LocalAddr()) != addr(server.RemoteAddr()) || addr(c.RemoteAddr()) != "10.0.0.2:7000" ||
			addr(server.LocalAddr()) != "10.0.0.2:7000" || a.Addr() != "10.0.0.1" {
			t.Errorf("addresses: %v %v, %v %v", c.LocalAddr(), c.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
		}
	})
}

func TestEachWriteArrivesAtItsOwnTime(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		say(t, c, "one")
		time.Sleep(time.Millisecond)
		say(t, c, "two")
		took(t, latency-time.Millisecond, func() { hear(t, s, "one") })
		took(t, time.Millisecond, func() { hear(t, s, "two") })
	})
}

func TestBytesKeepTheirOrderWhenTheLatencyFalls(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		n.SetLatency(time.Second)
		say(t, c, "slow ")
		n.SetLatency(time.Millisecond)
		say(t, c, "fast")
		took(t, time.Second, func() { hear(t, s, "slow fast") })
	})
}

func TestCloseGivesEOFAfterTheBytesUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		say(t, c, "last words")
		ok(t, c.Close())
		took(t, latency, func() { hear(t, s, "last words") })
		if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("read %d, %v; want EOF", n, err)
		}
		say(t, s, "too late") // as with TCP, only the answer to it is an error
		time.Sleep(2 * latency)
		synctest.Wait()
		if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed peer: %v", err)
		}
		for _, err := range []error{readErr(c), writeErr(c), c.Close(), c.SetDeadline(time.Now())} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("on a closed stream: %v", err)
			}
		}
	})
}

func TestCloseFreesAWriterWhoseBytesNobodyWillRead(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		time.AfterFunc(time.Second, func() { s.Close() })
		took(t, time.Second+latency, func() {
			if _, err := c.Write(make([]byte, 1<<20)); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("write: %v", err)
			}
		})
	})
}

func TestDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		ok(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		took(t, time.Second, func() {
			if err := readErr(c); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
		})
		ok(t, c.SetReadDeadline(time.Time{}))
		say(t, s, "still whole")
		hear(t, c, "still whole")

		ok(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		took(t, time.Second, func() {
			n, err := c.Write(make([]byte, 1<<20))
			if !errors.Is(err, os.ErrDeadlineExceeded) || n != 256<<10 {
				t.Errorf("wrote %d, %v", n, err)
			}
		})
		time.AfterFunc(time.Minute, func() { c.SetDeadline(time.Unix(1, 0)) }) // interrupts, as net/http does
		took(t, time.Minute, func() { ok(t, c.SetDeadline(time.Time{})); readErr(c) })
	})
}

func TestAWriterWaitsForItsReader(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		sent := sha256.New()
		done := false
		go func() {
			r := rand.New(rand.NewPCG(1, 2))
			buf := make([]byte, 64<<10) // used again for each write, as everybody does
			for range 100 {
				p := buf[:r.IntN(len(buf))]
				copy(p, bytes.Repeat([]byte{byte(r.Uint32())}, len(p)))
				sent.Write(p)
				c.Write(p)
			}
			done = true
			c.Close()
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if done {
			t.Fatal("nobody reads, yet everything was written")
		}
		got := sha256.New()
		if _, err := io.Copy(got, s); err != nil || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
			t.Errorf("the bytes differ, or %v", err)
		}
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		const size = 300 << 10 // more than the window, so that each has to wait
		var wg sync.WaitGroup
		for i := range byte(4) {
			wg.Go(func() { c.Write(bytes.Repeat([]byte{i}, size)) })
		}
		go func() { wg.Wait(); c.Close() }()
		got, err := io.ReadAll(s)
		ok(t, err)
		for ; len(got) >= size; got = got[size:] {
			if !bytes.Equal(got[:size], bytes.Repeat(got[:1], size)) {
				t.Fatal("two writes mixed")
			}
		}
	})
}

func TestErrorsOfListenAndDial(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		l := listen(t, b, ":7000")
		g, err := a.Gossip(":7000") // the same port on another host is free
		ok(t, err)
		defer g.Shutdown()
		want := func(err error, target error) {
			t.Helper()
			var op *net.OpError
			if !errors.Is(err, target) || !errors.As(err, &op) {
				t.Errorf("got %v, want a *net.OpError with %v", err, target)
			}
		}
		_, err = b.Listen("10.0.0.2:7000")
		want(err, syscall.EADDRINUSE)
		_, err = a.Listen(":7000")
		want(err, syscall.EADDRINUSE)
		_, err = b.Gossip("0.0.0.0:7000")
		want(err, syscall.EADDRINUSE)
		_, err = b.Listen("10.0.0.1:1")
		want(err, syscall.EADDRNOTAVAIL)
		took(t, 2*latency, func() {
			_, err = a.Dial(t.Context(), "10.0.0.2:7001")
			want(err, syscall.ECONNREFUSED)
		})
		took(t, time.Second, func() {
			_, err = a.Dial(within(t, time.Second), "10.0.0.99:7000") // no such machine
			want(err, context.DeadlineExceeded)
		})
		ok(t, l.Close())
		_, err = l.Accept()
		want(err, net.ErrClosed)
		_, err = a.Dial(t.Context(), "10.0.0.2:7000")
		want(err, syscall.ECONNREFUSED)
		if _, err = b.Listen("10.0.0.2:7000"); err != nil {
			t.Errorf("the port of a closed listener: %v", err)
		}
	})
}

func TestAListenerThatClosesWhileAStreamOpens(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		l := listen(t, b, ":7000")
		c, err := a.Dial(t.Context(), "10.0.0.2:7000") // b hears of that in 3 ms
		ok(t, err)
		defer c.Close()
		ok(t, l.Close())
		took(t, 2*latency, func() {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
		})
	})
}

func TestADialGivenUpHalfwayIsNeverAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		l := listen(t, b, ":7000")
		_, err := a.Dial(within(t, latency*3/2), "10.0.0.2:7000")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: %v", err)
		}
		time.AfterFunc(time.Minute, func() { l.Close() })
		if c, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepted %v, %v", c, err)
		}
	})
}

func readErr(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func writeErr(c net.Conn) error {
	_, err := c.Write([]byte("x"))
	return err
}

// In real time, for those who use the package outside a bubble.
func TestOutsideABubble(t *testing.T) {
	t.Parallel()
	n := simnet.New(simnet.Options{})
	a, b := n.Host("127.0.0.1"), n.Host("127.0.0.2")
	c, s := stream(t, a, b)
	n.Cut(a, b)
	say(t, c, "held")
	ok(t, s.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if err := readErr(s); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("through a cut: %v", err)
	}
	ok(t, s.SetReadDeadline(time.Now().Add(10*time.Second)))
	n.Heal(a, b)
	hear(t, s, "held")
}
