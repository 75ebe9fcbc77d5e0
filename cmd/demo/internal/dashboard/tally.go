package dashboard

import (
	"maps"
	"sync/atomic"

	"github.com/shoal-dev/shoal/cluster"
)

// tally is what all replicas have decided, whoever asked: what has gone with one that is
// gone is kept. It belongs to the goroutine that looks.
type tally struct {
	last map[*cluster.Node]counts
	all  counts
	by   [MaxNumber + 1]counts // by number
}

// counts are of decisions.
type counts struct {
	admitted, refused int64
	forced            int64 // partitions that were taken over from a silent replica
	paths             paths
}

func countsOf(m cluster.Metrics) (c counts) {
	c.forced = m.Handoff.Forced
	for _, d := range m.Decisions {
		if d.Outcome == cluster.Refused {
			c.refused += d.Count
		} else {
			c.admitted += d.Count
		}
		switch d.Path {
		case cluster.PathLocal:
			c.paths.Local += d.Count
		case cluster.PathForwarded:
			c.paths.Forwarded += d.Count
		case cluster.PathLeased:
			c.paths.Leased += d.Count
		case cluster.PathDenied:
			c.paths.Cached += d.Count
		case cluster.PathStandby, cluster.PathPolicy:
			c.paths.Degraded += d.Count
		}
	}
	return c
}

// gain adds what c has more than before.
func (t *counts) gain(c, before counts) {
	t.admitted += c.admitted - before.admitted
	t.refused += c.refused - before.refused
	t.forced += c.forced - before.forced
	t.paths.Local += c.paths.Local - before.paths.Local
	t.paths.Forwarded += c.paths.Forwarded - before.paths.Forwarded
	t.paths.Leased += c.paths.Leased - before.paths.Leased
	t.paths.Cached += c.paths.Cached - before.paths.Cached
	t.paths.Degraded += c.paths.Degraded - before.paths.Degraded
}

// add counts what a replica has decided since it was last counted.
func (t *tally) add(r Replica, m cluster.Metrics) {
	c := countsOf(m)
	before := t.last[r.Node]
	t.all.gain(c, before)
	t.by[r.Number].gain(c, before)
	t.last[r.Node] = c
}

// keep forgets the replicas that are gone.
func (t *tally) keep(replicas []Replica) {
	there := map[*cluster.Node]bool{}
	for _, r := range replicas {
		there[r.Node] = true
	}
	maps.DeleteFunc(t.last, func(n *cluster.Node, _ counts) bool { return !there[n] })
}

// recentSlots and recentSlot say what recent remembers.
const (
	recentSlots = 16
	recentSlot  = 10 // milliseconds
)

// recent knows how many were admitted lately. It is safe for concurrent use.
type recent [recentSlots]struct{ slot, n atomic.Int64 }

// add notes one at a time in milliseconds.
func (r *recent) add(ms int64) {
	slot := ms / recentSlot
	e := &r[slot%recentSlots]
	if old := e.slot.Load(); old != slot && e.slot.CompareAndSwap(old, slot) {
		e.n.Store(0)
	}
	e.n.Add(1)
}

// last returns how many there were in at least the last so many milliseconds, 100 at
// most.
func (r *recent) last(ms, now int64) (n int64) {
	first := (now - ms) / recentSlot
	for i := range r {
		if slot := r[i].slot.Load(); slot >= first && slot <= now/recentSlot {
			n += r[i].n.Load()
		}
	}
	return n
}
