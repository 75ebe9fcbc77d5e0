package bucket

import (
	"sync"
	"sync/atomic"
)

// numbering gives every limit in use, with its numbers, a small index, which is
// what an entry of the store keeps in place of them. It is bounded, and forgets those
// that no entry has used for a whole round of the sweep, so requests that bring ever
// new limits can't fill it for good.
type numbering struct {
	known atomic.Pointer[[]known] // by index; index 0 is never given

	mu    sync.RWMutex // below the shards' mutexes
	index map[limitKey]uint32
	free  []uint32
	limit int
	round atomic.Uint32
}

// limitKey is what tells limits apart, of whatever rules.
type limitKey struct {
	id uint64
	numbers
}

func (t *term) key() limitKey { return limitKey{t.id, t.numbers} }

// known is one numbered limit. It doesn't change while an entry refers to it.
type known struct {
	term
	use *use
}

// use is what entries there are of a limit.
type use struct {
	round   atomic.Uint32 // the last in which there was one
	entries atomic.Int64  // how many there are
}

func newNumbering(limit int) *numbering {
	n := &numbering{index: make(map[limitKey]uint32), limit: limit}
	n.known.Store(&[]known{{}})
	return n
}

// at returns the set that an entry refers to; the entry's shard must be locked.
func (n *numbering) at(i uint32) *known { return &(*n.known.Load())[i] }

// number returns the index of a term's numbers, a new one if need be; ok is
// false when there is no room for more. The shard of the entry that it is for
// must be locked until the entry is written.
func (n *numbering) number(t *term) (i uint32, ok bool) {
	n.mu.RLock()
	i, ok = n.index[t.key()]
	if ok {
		n.mark(i)
	}
	n.mu.RUnlock()
	if ok {
		return i, true
	}
	return n.add(t)
}

func (n *numbering) add(t *term) (i uint32, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i, ok = n.index[t.key()]; ok {
		n.mark(i)
		return i, true
	}
	list := *n.known.Load()
	k := known{*t, new(use)}
	switch {
	case len(n.free) > 0:
		i = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		list[i] = k
	case len(list) <= n.limit:
		i = uint32(len(list))
		list = append(list, k)
		n.known.Store(&list)
	default:
		return 0, false
	}
	n.index[t.key()] = i
	n.mark(i)
	return i, true
}

// mark notes that an entry has index i in this round.
func (n *numbering) mark(i uint32) {
	used, round := n.at(i).use, n.round.Load()
	if used.round.Load() != round {
		used.round.Store(round)
	}
}

// endRound frees the sets that no entry had in this round, and begins the next.
// The caller has met every entry that was there when the round began, and marked
// its index; those that came later were marked by number.
func (n *numbering) endRound() {
	n.mu.Lock()
	defer n.mu.Unlock()
	round := n.round.Load()
	for key, i := range n.index {
		if n.at(i).use.round.Load() != round {
			delete(n.index, key)
			n.free = append(n.free, i)
		}
	}
	n.round.Store(round + 1)
}
