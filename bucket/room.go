package bucket

// aside is what of a shard few hits need, away from the cache line that all do.
type aside struct {
	refunds refunds
	limits  *numbering

	budget   int // in bytes; 0 is no bound
	reserved int // what the logs would take if each had all that its limit allows
	hand     int // the slot at which the search for full buckets goes on

	shared     int // overflow entries
	overflowed int // hits that were decided by one
	dropped    int // full buckets
	unmerged   int // states from elsewhere whose limit found no number

	received [partitionsEach]int64 // when an overflow entry of a partition came from elsewhere, or 0
	folded   [partitionsEach]bool  // whether one came into which live keys had been folded
}

// partitionsEach is how many partitions a shard has.
const partitionsEach = 1 << (partitionBits - shardBits)

// partitionIn is the place of a partition among those of its shard.
func partitionIn(hi uint64) int { return int(hi >> (64 - partitionBits + shardBits)) }

const (
	entryBytes = 40 // the size of an entry
	// roomBytes is what must be left of the budget for each entry of a key: the table
	// is four fifths full then. overflowBytes is the same for overflow entries, which
	// still find room when keys don't; then it is nearly as full as it may be.
	roomBytes     = 50
	overflowBytes = 46
	// someShared is how many overflow entries a shard may have in any case: with markers
	// those of four limits, and in all 1.5 MB.
	someShared = 8 * partitionsEach
	// evictSlots is how many slots a new key without room looks at for full buckets.
	evictSlots = 16
	// shareOfFree bounds the entries of one limit to that many times what is free: alone
	// it gets 7/8 of the memory, two get 7/15 each, and a newcomer always some (Choudhury
	// and Hahne, Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998).
	shareOfFree = 7
)

// logBytes is the memory of the logs: what they take, or may come to take.
func (t *table) logBytes() int {
	if t.logs == nil {
		return t.aside.reserved
	}
	return max(t.aside.reserved, t.logs.bytes)
}

// committed is what would be taken of the budget with n more entries that need so many
// bytes each, and logs.
func (t *table) committed(n, each, logs int) int {
	return max((int(t.used)+n)*each, len(t.slots)*entryBytes) + t.logBytes() + logs
}

func (t *table) fits(n, each, logs int) bool {
	return t.aside.budget == 0 || t.committed(n, each, logs) <= t.aside.budget
}

// fitsShared reports whether there is room for the overflow entries that the accounts
// lack.
func (t *table) fitsShared(accounts []account) bool {
	n := 0
	for i := range accounts {
		if accounts[i].entry == nil && accounts[i].share == nil {
			n++
		}
	}
	return n == 0 || t.aside.shared+n <= someShared || t.fits(n, overflowBytes, 0)
}

// room reports whether those of the terms of which the key has nothing yet find room,
// dropping a few full buckets if there is none. It moves entries.
func (s *Store) room(t *table, terms []term, d Digest, now int64) bool {
	if t.aside.budget == 0 {
		return true
	}
	all := 0
	for i := range terms {
		all += terms[i].reserve()
	}
	if t.fits(len(terms), roomBytes, all) && t.spare() {
		return true
	}
	missing, logs, fair := 0, 0, true
	for i := range terms {
		if t.find(d.Hi, terms[i].lo(d)) == nil {
			missing++
			logs += terms[i].reserve()
		}
	}
	if missing == 0 {
		return true
	}
	t.evict(d.Hi, now)
	for i := range terms {
		if t.find(d.Hi, terms[i].lo(d)) == nil {
			fair = fair && s.fair(t, &terms[i])
		}
	}
	return fair && t.fits(missing, roomBytes, logs)
}

// roomForOne is room for an entry that isn't there.
func (s *Store) roomForOne(t *table, term *term, hi uint64, now int64) bool {
	if t.fits(1, roomBytes, term.reserve()) && s.fair(t, term) {
		return true
	}
	t.evict(hi, now)
	return t.fits(1, roomBytes, term.reserve()) && s.fair(t, term)
}

// fair reports whether there may be one more entry of a limit.
func (s *Store) fair(t *table, term *term) bool {
	return t.spare() || s.limits.entries(term) < shareOfFree*shardCount*max(0, t.free())
}

// spare reports whether so much is free that no limit can have too many entries.
func (t *table) spare() bool { return t.aside.budget == 0 || int(t.used) < shareOfFree*t.free() }

// free is for how many more entries of keys there is room.
func (t *table) free() int {
	return (t.aside.budget-t.logBytes())/roomBytes - int(t.used)
}

// evict looks at some slots for full buckets, and drops them, but for those of the key
// for whose sake it does: it would have to share.
func (t *table) evict(hi uint64, now int64) {
	i := t.aside.hand
	for range min(evictSlots, len(t.slots)) {
		if i >= len(t.slots) {
			i = 0
		}
		if e := &t.slots[i]; e.limit != 0 && e.hi != hi && e.state().full(now) {
			t.remove(i) // and look again: another entry may have moved here
			t.drops(1)
			continue
		}
		i++
	}
	t.aside.hand = i
}

// drops counts full buckets that were dropped.
func (t *table) drops(n int) {
	if t.aside != nil {
		t.aside.dropped += n
	}
}

// reserve is the memory of the longest log that the term can have.
func (t *term) reserve() int {
	if t.algorithm != SlidingLog {
		return 0
	}
	return 8 * minBlock << sizeFor(int(t.count))
}

// entries is how many there are of a limit.
func (n *numbering) entries(t *term) int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	i, ok := n.index[t.key()]
	if !ok {
		return 0
	}
	return int(n.at(i).use.entries.Load())
}

// number makes limit the one whose state an entry has.
func (t *table) number(e *entry, limit uint32) {
	if was := e.number(); was != limit {
		t.count(was, -1)
		t.count(limit, 1)
		e.limit += limit - was
	}
}

// count notes that there are n more entries of a limit.
func (t *table) count(limit uint32, n int) {
	if limit == 0 || t.aside == nil {
		return
	}
	known := t.aside.limits.at(limit)
	known.use.entries.Add(int64(n))
	t.aside.reserved += n * known.reserve()
}

// capacity is for how many slots a table with that many live entries is made.
func (t *table) capacity(live int) int {
	slots := max(minSlots, live+live/2+1)
	if t.aside != nil && t.aside.budget > 0 {
		most := (t.aside.budget - t.logBytes()) / entryBytes
		slots = max(min(slots, most), minSlots, (live+1)*8/7+1)
	}
	return slots
}
