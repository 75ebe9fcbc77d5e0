package simnet_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
)

func TestKillResetsStreamsAndRefusesDials(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		l := listen(t, b, ":7000")
		waiting, err := a.Dial(t.Context(), "10.0.0.2:7000") // in nobody's hands yet
		ok(t, err)
		defer waiting.Close()
		time.Sleep(latency)
		say(t, s, "dying")
		b.Kill()
		took(t, latency, func() { hear(t, c, "dying") })
		for _, c := range []net.Conn{c, waiting} {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if err := writeErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}
		_, accept := l.Accept()
		for _, err := range []error{readErr(s), writeErr(s), accept} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("in the dead program: %v", err)
			}
		}
		took(t, 2*latency, func() {
			if _, err := a.Dial(t.Context(), "10.0.0.2:7000"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial: %v", err)
			}
		})
		if _, err := b.Dial(t.Context(), "10.0.0.1:1"); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("dial from the dead: %v", err)
		}
		if _, err := b.Listen(":1"); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("listen by the dead: %v", err)
		}
		b.Restart()
		c, s = stream(t, a, b)
		say(t, c, "new life")
		hear(t, s, "new life")
	})
}

func TestKillEndsADialUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		n.Cut(a, b)
		time.AfterFunc(time.Second, a.Kill)
		if _, err := a.Dial(t.Context(), "10.0.0.2:7000"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestCrashIsSilent(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		old := listen(t, b, ":7000")
		say(t, s, "under way when the machine vanishes")
		b.Crash()
		b.Kill() // a program that is gone cannot die
		say(t, c, "into the void")
		silent(t, c)
		silent(t, s)
		if n, err := s.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
			t.Errorf("the crashed program wrote %d, %v", n, err)
		}
		for _, dial := range []func(context.Context) (net.Conn, error){
			func(ctx context.Context) (net.Conn, error) { return a.Dial(ctx, "10.0.0.2:7000") },
			func(ctx context.Context) (net.Conn, error) { return b.Dial(ctx, "10.0.0.1:7000") },
		} {
			took(t, time.Hour, func() {
				_, err := dial(within(t, time.Hour))
				if e, timeout := err.(net.Error); !timeout || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("dial: %v", err)
				}
			})
		}
		if n.Host("10.0.0.2") != b {
			t.Error("asking for a crashed host gave another one")
		}
		if _, err := b.Listen(":1"); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("listen: %v", err)
		}
		b.Restart()
		if _, err := old.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept in the earlier life: %v", err)
		}
		listen(t, b, ":7000")
		if err := readErr(s); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read in the earlier life: %v", err)
		}
		// What a sent into the void is sent again, as by TCP, and answered by a reset.
		took(t, 2*latency, func() {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read after the restart: %v", err)
			}
		})
	})
}

func TestACrashFreesItsOwnWriters(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, _ := stream(t, a, b)
		time.AfterFunc(time.Second, a.Crash)
		took(t, time.Second, func() {
			_, err := c.Write(make([]byte, 1<<20))
			ok(t, err)
		})
	})
}

func TestAStreamOfAnEarlierLifeIsResetByTheFirstWrite(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, _ := stream(t, a, b)
		b.Crash()
		time.Sleep(time.Minute)
		b.Restart()
		silent(t, c)
		say(t, c, "are you there?")
		took(t, 2*latency, func() {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
		})
	})
}

func TestRestartOfAHostThatIsUpResetsItsStreams(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		c, _ := stream(t, a, b)
		b.Restart()
		took(t, latency, func() {
			if err := readErr(c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
		})
		listen(t, b, ":7000")
	})
}

func TestCutHoldsBytesAndHealDeliversThem(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		say(t, c, "one ") // under way at the cut
		n.Cut(a, b)
		say(t, c, "two")
		say(t, s, "three")
		silent(t, s)
		silent(t, c)
		n.Heal(a, b)
		took(t, latency, func() { hear(t, s, "one two"); hear(t, c, "three") })
	})
}

func TestAStreamOpensWhenTheLinkHeals(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		listen(t, b, ":7000")
		n.Cut(a, b)
		_, err := a.Dial(within(t, time.Second), "10.0.0.2:7000")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial over a cut: %v", err)
		}
		time.AfterFunc(time.Minute, n.HealAll)
		took(t, time.Minute+2*latency, func() {
			c, err := a.Dial(t.Context(), "10.0.0.2:7000")
			ok(t, err)
			c.Close()
		})
	})
}

func TestOneWayCut(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, s := stream(t, a, b)
		n.CutOneWay(a, b)
		say(t, c, "held")
		say(t, s, "passes")
		took(t, latency, func() { hear(t, c, "passes") })
		silent(t, s)
		n.Heal(a, b)
		hear(t, s, "held")
	})
}

func TestPartition(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		third, bystander := n.Host("10.0.0.3"), n.Host("10.0.0.4")
		across, far := stream(t, a, third)
		along, near := stream(t, a, b)
		aside, other := stream(t, bystander, third)
		n.Partition([]*simnet.Host{a, b}, []*simnet.Host{third})
		say(t, along, "same side")
		hear(t, near, "same side")
		say(t, aside, "in no group")
		hear(t, other, "in no group")
		say(t, across, "other side")
		silent(t, far)
		n.HealAll()
		hear(t, far, "other side")
	})
}

func TestAWriterHeldByACutKeepsItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		c, _ := stream(t, a, b)
		n.Cut(a, b)
		ok(t, c.SetDeadline(time.Now().Add(time.Second)))
		took(t, time.Second, func() {
			if _, err := c.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
		})
	})
}
