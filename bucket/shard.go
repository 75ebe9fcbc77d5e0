package bucket

import "math/bits"

// entry is what is kept of one key under one limit: 40 bytes and no pointer,
// so that the garbage collector never looks inside a table of them.
type entry struct {
	hi, lo uint64
	at     int64  // a State's
	val    uint64 // fields,
	seq    uint32 // packed
	limit  uint32 // index in the numbering; 0 marks an empty slot; changedBit and logBit
}

// changedBit is set in the limit of an entry that the list of changes has.
const changedBit = 1 << 31

// logBit is set in the limit of an entry whose val and seq are a log's.
const logBit = 1 << 30

// number is the index of the entry's numbers.
func (e *entry) number() uint32 { return e.limit &^ (changedBit | logBit) }

func (e *entry) state() State { return State{e.at, e.val, e.seq} }

// live reports whether there is an entry that still says something.
func (e *entry) live(now int64) bool { return e.limit != 0 && !e.state().full(now) }

// minSlots is the size of a table that has just received its first entry.
const minSlots = 8

// table is a hash table with open addressing and linear probing. The digest is
// the hash: it is keyed, so nobody can aim at a slot. Slots are found by
// multiplication rather than masking, which lets the table grow by less than
// doubling. Deleting shifts later entries back, so there are no tombstones.
type table struct {
	slots []entry
	used  uint32
	built uint32 // how often it was made anew: what was learned of slots before is void

	logs    *slab     // nil until there is one
	changed *[]Digest // the hi and lo of entries with changedBit, some of which may have gone; or nil
	aside   *aside
}

// write makes an entry's state that of a limit which keeps no log.
func (t *table) write(e *entry, s State, limit uint32) {
	t.dropLog(e)
	t.number(e, limit)
	e.at, e.val, e.seq = s.at, s.val, s.seq
}

// touch enters a changed entry into the list, once.
func (t *table) touch(e *entry) {
	if t.changed != nil && e.limit&changedBit == 0 {
		e.limit |= changedBit
		*t.changed = append(*t.changed, Digest{e.hi, e.lo})
	}
}

// home is the slot at which the search for lo begins.
func (t *table) home(lo uint64) int {
	i, _ := bits.Mul64(lo, uint64(len(t.slots)))
	return int(i)
}

func (t *table) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// find returns the entry of a digest, or nil. The pointer holds until the next
// insert or remove.
func (t *table) find(hi, lo uint64) *entry {
	if t.used == 0 {
		return nil
	}
	for i := t.home(lo); t.slots[i].limit != 0; i = t.next(i) {
		if e := &t.slots[i]; e.lo == lo && e.hi == hi {
			return e
		}
	}
	return nil
}

// insert adds an entry that isn't there yet. When the table is too full it is
// made anew, without what is full at now.
func (t *table) insert(e entry, now int64) {
	if 8*(int(t.used)+1) > 7*len(t.slots) {
		t.rebuild(now)
	}
	if isShared(e.hi) && t.aside != nil {
		t.aside.shared++
	}
	t.place(e)
}

func (t *table) place(e entry) {
	i := t.home(e.lo)
	for t.slots[i].limit != 0 {
		i = t.next(i)
	}
	t.slots[i] = e
	t.used++
}

// remove empties slot i and moves back the entries that its filling had pushed
// on (Knuth, TAOCP 3, 6.4, algorithm R).
func (t *table) remove(i int) {
	t.forget(&t.slots[i])
	t.used--
	for j := t.next(i); t.slots[j].limit != 0; j = t.next(j) {
		if h := t.home(t.slots[j].lo); between(i, h, j) {
			continue
		}
		t.slots[i] = t.slots[j]
		i = j
	}
	t.slots[i] = entry{}
}

// forget gives back what an entry that goes has besides its slot.
func (t *table) forget(e *entry) {
	t.dropLog(e)
	t.count(e.number(), -1)
	if isShared(e.hi) && t.aside != nil {
		t.aside.shared--
	}
}

// between reports whether h lies in (i, j], going round the end of the table.
func between(i, h, j int) bool {
	if i <= j {
		return i < h && h <= j
	}
	return i < h || h <= j
}

// rebuild makes the table anew with a third of its slots free, and drops the
// entries that say nothing any more.
func (t *table) rebuild(now int64) {
	live := 0
	for i := range t.slots {
		if t.slots[i].live(now) {
			live++
		}
	}
	old := t.slots
	t.slots, t.used, t.built = make([]entry, t.capacity(live)), 0, t.built+1
	for i := range old {
		switch {
		case old[i].live(now):
			t.place(old[i])
		case old[i].limit != 0:
			t.forget(&old[i])
			t.drops(1)
		}
	}
}

// sparse reports whether rebuilding would give back most of the memory.
func (t *table) sparse() bool {
	return len(t.slots) > minSlots && 4*int(t.used) < len(t.slots)
}
