package cutnet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// soon is long enough to see that nothing arrives, and never waited for otherwise.
const soon = 30 * time.Millisecond

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is a network with a stream from a to b.
func pair(t *testing.T) (n *Net, a, b *Host, dialled, accepted net.Conn) {
	t.Helper()
	n = New(slog.New(slog.DiscardHandler))
	a, b = n.Host("a"), n.Host("b")
	l, err := b.Listen("127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { _ = l.Close() })
	dialled, err = a.Dial(t.Context(), l.Addr().String())
	ok(t, err)
	accepted, err = l.Accept()
	ok(t, err)
	t.Cleanup(func() { _ = dialled.Close(); _ = accepted.Close() })
	return n, a, b, dialled, accepted
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := c.Write([]byte(text))
	ok(t, err)
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

func TestAStreamIsHeldByACut(t *testing.T) {
	n, _, _, c, s := pair(t)
	say(t, c, "before")
	hear(t, s, "before")
	n.Split(map[string]int{"b": 1})
	say(t, c, "meanwhile")
	for _, end := range []net.Conn{c, s} {
		ok(t, end.SetReadDeadline(time.Now().Add(soon)))
		if n, err := end.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("across the cut: %d, %v", n, err)
		}
		ok(t, end.SetReadDeadline(time.Time{}))
	}
	heard := make(chan string)
	go func() {
		b := make([]byte, 4)
		n, _ := s.Read(b)
		heard <- string(b[:n])
	}()
	n.Heal()
	if got := <-heard; got != "mean" {
		t.Errorf("after it healed: %q", got)
	}
	hear(t, s, "while")
}

// An end that comes during a cut is seen when it has healed.
func TestAnEndIsHeldToo(t *testing.T) {
	n, _, _, c, s := pair(t)
	n.Split(map[string]int{"b": 1})
	ok(t, c.Close())
	ok(t, s.SetReadDeadline(time.Now().Add(soon)))
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("across the cut: %v", err)
	}
	n.Heal()
	ok(t, s.SetReadDeadline(time.Time{}))
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after it healed: %v", err)
	}
}

func TestADialWaitsForTheCut(t *testing.T) {
	n, a, b, _, _ := pair(t)
	l, err := b.Listen("127.0.0.1:0")
	ok(t, err)
	defer l.Close()
	n.Split(map[string]int{"b": 1})
	if side, cut := n.Side("b"); side != 1 || !cut {
		t.Errorf("b is on side %d, cut %v", side, cut)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := a.Dial(ctx, l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("across the cut: %v", err)
	}
	done := make(chan error)
	go func() {
		c, err := a.Dial(t.Context(), l.Addr().String())
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	n.Heal()
	ok(t, <-done)
}

func TestKillLeavesNoSocket(t *testing.T) {
	n, a, b, c, s := pair(t)
	l, err := b.Listen("127.0.0.1:0")
	ok(t, err)
	n.Split(map[string]int{"b": 1})
	waiting := make(chan error)
	go func() { _, err := s.Read(make([]byte, 1)); waiting <- err }()
	say(t, c, "unheard")
	b.Kill()
	b.Kill() // it is dead already
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read on the killed host: %v", err)
	}
	n.Heal()
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the peer heard a farewell: %v", err)
	}
	if _, err := a.Dial(t.Context(), l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
	if _, err := b.Dial(t.Context(), l.Addr().String()); err == nil {
		t.Error("it still dials")
	}
	if _, err := b.Listen("127.0.0.1:0"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it listens anew: %v", err)
	}
	accepted := make(chan error)
	go func() { _, err := l.Accept(); accepted <- err }()
	_ = l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("its listener: %v", err)
	}
}

func TestGossipIsCutToo(t *testing.T) {
	n := New(slog.New(slog.DiscardHandler))
	a, b := open(t, n.Host("a")), open(t, n.Host("b"))
	send := func(text string) {
		_, err := a.WriteTo([]byte(text), b.address)
		ok(t, err)
	}
	send("one")
	if p := <-b.PacketCh(); string(p.Buf) != "one" {
		t.Errorf("%q", p.Buf)
	}
	n.Split(map[string]int{"b": 1})
	send("lost")
	if _, err := a.DialTimeout(b.address, soon); err == nil {
		t.Error("dialled across the cut")
	}
	n.Heal()
	send("two")
	if p := <-b.PacketCh(); string(p.Buf) != "two" {
		t.Errorf("%q", p.Buf)
	}
	c, err := a.DialAddressTimeout(memberlist.Address{Addr: b.address}, time.Minute)
	ok(t, err)
	defer c.Close()
	s := <-b.StreamCh()
	defer s.Close()
	say(t, c, "a stream")
	hear(t, s, "a stream")
	b.host.Kill()
	if _, err := b.WriteTo([]byte("from the dead"), a.address); err != nil {
		t.Errorf("the node was told: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is still there")
	}
}

func open(t *testing.T, h *Host) *gossip {
	t.Helper()
	transport, err := h.Gossip("127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { _ = transport.Shutdown() })
	return transport.(*gossip)
}
