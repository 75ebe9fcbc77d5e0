package bucket

// When a store is full, and nothing in it is full enough to drop, a new key has no
// entry of its own: its limits are decided by overflow entries, which all new keys of a
// partition share, one for each limit of each rule. An overflow entry is an ordinary
// one, of a key that nobody has: all of its digest but the partition is a constant. So
// it moves, merges and fades like any other.
//
// Nobody is admitted too much, because of one invariant: of whatever has been taken by a
// key that has no entry, the overflow entry knows, as it was charged with that and
// more. What follows from it:
//
//   - A key that gets an entry of its own starts as its overflow's copy, and no less.
//   - A key whose bucket is full may begin to share at any time. A window is different:
//     a key that joins one in its middle would have the next too soon. So each charge
//     prolongs a shared window, unless it is the clock's.
//   - A state that comes from elsewhere and finds no room is folded into the overflow
//     entry. The windows of the two are numbered by different counts, so as if they were
//     one window.
//   - An overflow entry that comes from elsewhere knows of keys that had no entry there,
//     and may have one here that is behind: an old copy. If it was full by then, the
//     overflow's state takes its place. If it isn't, it is right, unless the key was
//     folded there: a second entry, the marker, says that some were. As long as it
//     isn't full, keys here that it may mean take the later of both states.
//
// The price is refusals: keys that share have one limit between them.

// graceTime is how long after an overflow entry a copy that it makes void may arrive.
const graceTime = int64(10e9)

const (
	keyBits   = 1<<(64-partitionBits) - 1  // of a digest's high half: all but the partition
	sharedKey = 0x6f766572666c6f & keyBits // no key has it, but by a chance of 1 in 2^52 for each
)

// overflow is the digest of the partition's overflow entries.
func (d Digest) overflow() Digest { return Digest{d.Hi&^keyBits | sharedKey, 0} }

// marker is the digest of the partition's entries that say that keys were folded.
func (d Digest) marker() Digest { return Digest{d.Hi&^keyBits | sharedKey, 1} }

// isShared reports whether hi is that of an overflow entry, or a marker.
func isShared(hi uint64) bool { return hi&keyBits == sharedKey }

// sharedEntry is the overflow entry of a term, or nil.
func (t *table) sharedEntry(term *term, d Digest) *entry {
	if t.aside == nil || t.aside.shared == 0 {
		return nil
	}
	return t.find(d.overflow().Hi, term.lo(d.overflow()))
}

// behind reports whether an entry may know less than the overflow's.
func (t *table) behind(e *entry, term *term, d Digest, now int64) bool {
	p := partitionIn(d.Hi)
	if t.aside == nil || t.aside.received[p] == 0 {
		return false
	}
	if t.aside.folded[p] {
		if marker := t.find(d.marker().Hi, term.lo(d.marker())); marker != nil && !marker.state().full(now) {
			return true
		}
	}
	return e.state().full(now) && e.at <= satAdd(t.aside.received[p], graceTime)
}

// catchUp brings the key's entries that are behind up to the overflow's.
func (s *Store) catchUp(t *table, terms []term, d Digest, now int64) {
	if t.aside.received[partitionIn(d.Hi)] == 0 {
		return
	}
	for i := range terms {
		e, shared := t.find(d.Hi, terms[i].lo(d)), t.sharedEntry(&terms[i], d)
		if e == nil || shared == nil || !t.behind(e, &terms[i], d, now) {
			continue
		}
		known := &s.limits.at(shared.number()).term
		state, l := t.known(shared, known, now)
		if !state.full(now) {
			e.sameWindow(&state)
			s.join(t, e, known, state, l, now)
		}
	}
}

// lookAhead is what catchUp does, without writing anything: the later of both states,
// which is what they are together but for windows and logs of folded keys.
func (s *Store) lookAhead(a *account, t *table, term *term, d Digest, m moment) {
	if a.entry == nil || !t.behind(a.entry, term, d, m.now) {
		return
	}
	if shared := t.sharedEntry(term, d); shared != nil {
		var ahead account
		if s.lookAt(&ahead, t, shared, term, m); ahead.state.later(a.state) {
			a.state, a.log, a.kept = ahead.state, ahead.log, ahead.kept
		}
	}
}

// sameWindow has the windows of an entry and of a state count as one.
func (e *entry) sameWindow(s *State) {
	if e.limit&logBit == 0 {
		e.seq = max(e.seq, s.seq)
		s.seq = e.seq
	}
}

// receiveShared notes that an overflow entry or a marker has come from elsewhere.
func (t *table) receiveShared(id Digest, term *term, now int64) {
	p := partitionIn(id.Hi)
	t.aside.received[p] = max(now, 1)
	t.aside.folded[p] = t.aside.folded[p] || id.Lo == term.lo(id.marker())
}

// forgetShared forgets what was received, when it says nothing any more.
func (t *table) forgetShared() {
	if t.aside.shared == 0 {
		clear(t.aside.received[:])
		clear(t.aside.folded[:])
	}
}

// follow brings the marker of a limit, if there is one, to where the overflow entry is.
func (s *Store) follow(t *table, shared *entry, term *term, d Digest, now int64) {
	marker := t.find(d.marker().Hi, term.lo(d.marker()))
	if marker == nil || marker.state().full(now) {
		return
	}
	state, l := t.known(shared, term, now)
	marker.sameWindow(&state)
	s.join(t, marker, term, state, l, now)
}

// fold brings a state for which there is no room into the overflow entry of its limit,
// and marks that.
func (s *Store) fold(t *table, hi uint64, term *term, state State, l log, now int64) {
	d := Digest{Hi: hi}
	for _, shared := range [...]Digest{d.overflow(), d.marker()} {
		s.mergeEntry(t, Digest{shared.Hi, term.lo(shared)}, term, state, l, now)
	}
}

// prolong makes a shared window last for a whole one from now.
func (t *term) prolong(s *State, now int64) {
	if t.algorithm == FixedWindow && !t.aligned && !t.calendar {
		s.at = max(s.at, satAdd(now, t.window.per-1))
	}
}
