package simnet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A long test on one Net must not pile up what its faults left behind.
func TestAHostForgetsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{})
		a, b := n.Host("10.0.0.1"), n.Host("10.0.0.2")
		for i, fault := range []func(){
			func() {},
			a.Restart,
			b.Restart,
			func() { b.Crash(); b.Restart() },
			func() { n.Cut(a, b); time.Sleep(time.Second); n.HealAll() },
		} {
			l, err := b.Listen(":7000")
			if err != nil {
				t.Fatal(err)
			}
			c, err := a.Dial(t.Context(), "10.0.0.2:7000")
			if err != nil {
				t.Fatal(err)
			}
			s, _ := l.Accept()
			fault()
			c.Write([]byte("x"))
			time.Sleep(time.Second)
			c.Close()
			s.Close()
			l.Close()
			time.Sleep(time.Second)
			if left := held(a) + held(b); left > 0 {
				t.Errorf("after fault %d: %d streams and ports left", i, left)
			}
		}
		n.Cut(a, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Dial(ctx, "10.0.0.2:7000"); err == nil || held(a) > 0 {
			t.Errorf("a dial given up: %v, %d streams left", err, held(a))
		}
	})
}

func held(h *Host) int {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return len(h.conns) + len(h.listeners)
}
