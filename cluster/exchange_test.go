package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/test/simnet"
)

// A pulse tells how long ago the last was, also if only the clock on the wall knows.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulse()
		time.Sleep(3 * time.Second)
		if d := p.next(); d != 3*time.Second {
			t.Errorf("after 3 s: %v", d)
		}
		if d := p.next(); d != 0 {
			t.Errorf("at once: %v", d)
		}
		p.last = p.last.Round(0).Add(-time.Minute) // the machine slept, and so did its clock
		if d := p.next(); d != time.Minute {
			t.Errorf("after a minute on the wall: %v", d)
		}
		p.last = p.last.Add(time.Hour).Round(0) // the wall's was set back
		if d := p.next(); d > 0 {
			t.Errorf("after an hour back: %v", d)
		}
	})
}

// A replica that stood still decides nothing until it has claimed its partitions
// again, and doesn't wait for that any longer than it must.
func TestAReplicaThatStoodStill(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *Node) {
		h := hitAt(a, bucket.MustRule("api", "5/hour"))
		if v, ok := decision(a.decide, h, a.now()); !ok || !v.Allowed {
			t.Fatalf("%+v, %v", v, ok)
		}
		a.beat.Store(a.now() - int64(pauseTime) - 1)
		if v, ok := decision(here(a), h, a.now()); ok {
			t.Errorf("decides at once: %+v", v)
		}
		if answer := answered(a, h, a.now()); !answer.NotHeld {
			t.Errorf("answers at once: %+v", answer)
		}
		eventually(t, time.Second, "it decides again", func() bool { return a.Metrics().Handoff.Fenced == 1 && a.parts.holds(partition(h)) })
		if v, ok := decision(a.decide, h, a.now()); !ok || v.Remaining != 3 {
			t.Errorf("%+v, %v", v, ok)
		}
		for _, n := range []*Node{a, b} {
			if m := n.Metrics().Handoff; m.Forced+m.Doubled > 0 {
				t.Errorf("%s: %+v", n.Name(), m)
			}
		}
	})
}

func TestDoubtAll(t *testing.T) {
	p := newPartitions(1)
	p.holdAll()
	p.doubtAll(1)
	if m := p.metrics(); m.Held != 0 || m.Fenced != 1 || m.Doubtful != 4096 || p.empty() || !p.involved(0) {
		t.Errorf("%+v", m)
	}
}

// A member that can't be reached is passed over when it has been silent for a second,
// and no sooner.
func TestASilentMemberIsPassedOver(t *testing.T) {
	nodes(t, 3, func(t *testing.T, net *simnet.Net, ns []*Node) {
		silent := map[handoff.Boot]int64{}
		n, victim := ns[0], ns[2].parts.self
		net.Host("10.0.0.3").Kill()
		eventually(t, time.Second, "its silence is noticed", func() bool {
			n.forceSilent(silent, n.now())
			return len(silent) == 1
		})
		if _, ok := silent[victim]; !ok {
			t.Errorf("silent are %v", silent)
		}
		n.parts.mu.Lock()
		n.parts.parts[0] = handoff.Part{}
		n.parts.parts[0].StartClaim(n.parts.view)
		n.parts.publish(0, n.now())
		n.parts.mu.Unlock()
		began := silent[victim]
		n.forceSilent(silent, began+int64(forceTime)-1)
		if m := n.Metrics().Handoff; m.Forced != 0 {
			t.Errorf("forced before a second has passed: %+v", m)
		}
		n.forceSilent(silent, began+int64(forceTime))
		if m := n.Metrics().Handoff; m.Forced != 1 {
			t.Errorf("not forced after a second: %+v", m)
		}
	})
}

// Whom nobody has reached is left alone for a moment.
func TestUnreached(t *testing.T) {
	var l unreached
	if l.until(1) != 0 {
		t.Error("nobody was sought, and is lost")
	}
	l.add(1, 5)
	if l.until(1) != 5+int64(lostTime) || l.until(2) != 0 {
		t.Errorf("lost until %d", l.until(1))
	}
	for b := range handoff.Boot(5000) {
		l.add(b, 6)
	}
	if len(l.since) > 1001 || l.until(4999) == 0 {
		t.Errorf("remembers %d", len(l.since))
	}
}

// A hit that may have been debited at the one from whom the token has just come is
// sent back there.
func TestAnOrphanThatMayHaveBeenDebited(t *testing.T) {
	n := start(t, Config{})
	rule := bucket.MustRule("api", "5/hour")
	h := hitAt(n, rule)
	n.parts.came[partition(h)].Store(7)
	now := n.parts.held[partition(h)].Load() + int64(n.config.HitTimeout)
	if n.doubtful(h, now-1) != 0 {
		t.Error("it was sent to nobody else, and is doubtful")
	}
	h.Orphan = true
	if a := answered(n, h, now-1); !a.NotHeld || a.Hint != 7 {
		t.Errorf("%+v", a)
	}
	if n.doubtful(h, now) != 0 {
		t.Error("still doubtful when its caller has long gone")
	}
	n.parts.held[partition(h)].Store(0)
	if n.doubtful(h, now-1) != 0 {
		t.Error("doubtful where the token isn't")
	}
}

// Tokens that come by the hundred wake a hit that waits for another as often, and it
// goes on waiting.
func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, Config{})
		s := search{node: n, pause: tokenPause}
		for range 200 {
			began := time.Now()
			s.wait(n.now() + int64(time.Second))
			if d := time.Since(began); d < tokenPause || d > maxPause {
				t.Fatalf("a pause of %v", d)
			}
		}
	})
}
