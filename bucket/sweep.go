package bucket

import "sync"

// sliceSlots is how many slots the sweep looks at under one lock.
const sliceSlots = 1024

// sweep is where the sweep has come to.
type sweep struct {
	mu    sync.Mutex // above the shards' mutexes
	shard int
	slot  int    // in that shard's table,
	built uint32 // if it is still this one
}

// Sweep drops buckets that are full at now, which loses nothing, and returns
// how many. It looks at the given number of slots, or a slice more, or up to the
// end of a round through the store, going on where the last call stopped. It never
// holds a lock for more than 1024 slots, or for the rebuilding of one of the
// 256 tables that has become nearly empty.
func (s *Store) Sweep(now int64, slots int) (dropped int) {
	s.sweep.mu.Lock()
	defer s.sweep.mu.Unlock()
	for slots > 0 {
		looked, gone, done := s.sweepSlice(now)
		slots -= looked
		dropped += gone
		if !done {
			continue
		}
		s.sweep.shard, s.sweep.slot = s.sweep.shard+1, 0
		if s.sweep.shard == shardCount {
			s.sweep.shard = 0
			s.limits.endRound()
			break
		}
	}
	return dropped
}

// sweepSlice looks at the next slots of the shard that the sweep has come to,
// drops those that are full and marks the numbers of the others as in use.
func (s *Store) sweepSlice(now int64) (looked, gone int, done bool) {
	sh := &s.shards[s.sweep.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := &sh.table
	if t.built != s.sweep.built { // another table: its entries are elsewhere
		s.sweep.slot, s.sweep.built = 0, t.built
	}
	i := s.sweep.slot
	if i == 0 {
		s.endLeases(s.sweep.shard, now)
	}
	for looked = 1; looked <= sliceSlots && i < len(t.slots); looked++ {
		switch e := &t.slots[i]; {
		case e.limit == 0:
			i++
		case e.state().full(now):
			t.remove(i) // and look again: another entry may have moved here
			t.drops(1)
			gone++
		default:
			s.limits.mark(e.number())
			i++
		}
	}
	s.sweep.slot = i
	if done = i >= len(t.slots); done {
		t.forgetShared()
		if t.sparse() {
			t.rebuild(now)
		}
	}
	return looked, gone, done
}
