package dashboard

import "sync/atomic"

// tally counts what the panel's load has met, by the replica that was asked.
type tally [MaxNumber + 1]counts

type counts struct {
	admitted, refused        atomic.Int64
	own, forwarded, degraded atomic.Int64 // by where it was decided
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
