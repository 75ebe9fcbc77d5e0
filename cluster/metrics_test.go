package cluster

import (
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

// What two replicas do is in their metrics: decisions by their paths, waits, frames,
// copies and tokens on their way.
func TestMetricsOfAPair(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "2/hour")
		here, there := keyOf(a, rule), keyOf(b, rule)
		take := func(key string) {
			if _, err := a.Take(t.Context(), rule, key, 1); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			take(here)
			take(there)
		}
		if _, err := a.Peek(t.Context(), rule, here, 1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		m := a.Metrics()
		for _, p := range []Path{PathLocal, PathForwarded} {
			if m.Decided(p, Allowed) != 2 {
				t.Errorf("%v: %+v", p, m.Decisions)
			}
		}
		if refused := m.Decided(PathLocal, Refused) + m.Decided(PathForwarded, Refused) + m.Decided(PathDenied, Refused); refused != 2 {
			t.Errorf("%d refused: %+v", refused, m.Decisions)
		}
		if m.Forwarding.Count() < 2 || m.Forwarding.Sum < int64(m.Forwarding.Count()) || m.Frames.Count() < 2 || m.Frames.Sum < 2 {
			t.Errorf("forwarding %+v, frames %+v", m.Forwarding, m.Frames)
		}
		if len(m.Peers) != 1 || m.Peers[0] != (PeerMetrics{Name: b.Name(), Connected: true}) || !m.Ready || m.TableHash != b.Metrics().TableHash {
			t.Errorf("%+v", m)
		}
		if m.Store.Entries != 2 { // one of them the other's copy
			t.Errorf("%+v", m.Store)
		}
		if r := m.Replication; r.Bytes == 0 || r.Lag > 200*time.Millisecond || r.Failures != 0 {
			t.Errorf("%+v", r)
		}
		net.Host("10.0.0.2").Crash()
		take(there)
		time.Sleep(300 * time.Millisecond)
		m = a.Metrics()
		if m.Decided(PathPolicy, Allowed) != 1 || m.ByPolicy != 1 || m.Silences == 0 || m.Unreachable != 1 || !m.Peers[0].Silent {
			t.Errorf("alone: %+v", m)
		}
	})
}

// Tokens that a leaver hands over are counted at both ends, and what its heir decides by
// the copy of one that crashed is the standby's.
func TestMetricsOfTokensOnTheirWay(t *testing.T) {
	pair(t, func(t *testing.T, _ *simnet.Net, a, b *Node) {
		held := b.Metrics().Handoff.Held
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sent, received := b.Metrics().Handoff.Sent, a.Metrics().Handoff.Received; sent != int64(held) || received != sent || held == 0 {
			t.Errorf("%d were held, %d sent, %d received", held, sent, received)
		}
	})
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "2/hour")
		key := keyOf(b, rule)
		for i := range 2 {
			if _, err := a.Take(t.Context(), rule, key, 1); err != nil {
				t.Error(err)
			}
			time.Sleep(500 * time.Millisecond)
			net.Host("10.0.0.2").Crash()
			time.Sleep(time.Duration(1-i) * 800 * time.Millisecond)
		}
		if m := a.Metrics(); m.Decided(PathForwarded, Allowed) != 1 || m.Decided(PathStandby, Allowed) != 1 || m.ByStandby != 1 {
			t.Errorf("%+v, %d by the standby", m.Decisions, m.ByStandby)
		}
	})
}

// A standby that doesn't acknowledge what it is sent is seen to lag.
func TestReplicationLag(t *testing.T) {
	pair(t, func(t *testing.T, net *simnet.Net, a, b *Node) {
		rule := bucket.MustRule("api", "9/hour")
		time.Sleep(time.Second)
		net.Host("10.0.0.2").Crash()
		if d, err := a.Take(t.Context(), rule, keyOf(a, rule), 1); err != nil || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
		time.Sleep(800 * time.Millisecond)
		if lag := a.Metrics().Replication.Lag; lag < 500*time.Millisecond || lag > 800*time.Millisecond {
			t.Errorf("after 0.8 s the lag is %v", lag)
		}
		time.Sleep(5 * time.Second)
		if r := a.Metrics().Replication; r.Lag != 0 || r.Failures == 0 {
			t.Errorf("alone: %+v", r)
		}
	})
}

func TestHistogramOfWaits(t *testing.T) {
	var w waiting
	for _, d := range []int64{0, waits[0], waits[0] + 1, int64(time.Hour)} {
		w.observe(d)
	}
	h := w.histogram()
	if h.Counts[0] != 2 || h.Counts[1] != 1 || h.Counts[len(h.Bounds)] != 1 || h.Count() != 4 || h.Sum != 2*waits[0]+1+int64(time.Hour) {
		t.Errorf("%+v", h)
	}
}
