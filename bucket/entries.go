package bucket

import "time"

// fullRetry is when to ask again after the numbering had no room: by then a
// sweep may have freed some.
const fullRetry = time.Second

// lo is the low half of the digest under which the term's state is kept. The
// high half stays as it is: it chooses partition and shard.
func (t *term) lo(d Digest) uint64 { return d.Lo ^ t.id }

// open looks up what is known of the key under the term. If that was taken under
// other numbers it is expressed in the term's, for good and whatever becomes of
// the hit: from now on it comes back as these say, and not as receipts have it.
func (s *Store) open(a *account, sh *shard, term *term, d Digest, m moment) {
	known, anew := s.look(a, &sh.table, term, d, m)
	if !anew {
		return
	}
	if limit, ok := s.limits.number(term); ok {
		e := a.entry
		if e == nil {
			e = a.share
		}
		a.limit, a.kept = limit, term.window.per
		a.state, a.log = sh.table.restate(e, limit, term, known, a.state, a.log, m.now)
		sh.table.touch(e)
		sh.table.aside.refunds.forget(d, m.now)
	}
}

// look is open without writing anything. anew says that what is kept was taken
// under other numbers, those of known, and can be expressed in the term's with
// nothing lost.
func (s *Store) look(a *account, t *table, term *term, d Digest, m moment) (known *term, anew bool) {
	if a.entry = t.find(d.Hi, term.lo(d)); a.entry != nil {
		return s.lookAt(a, t, a.entry, term, m)
	}
	if a.share = t.sharedEntry(term, d); a.share != nil {
		return s.lookAt(a, t, a.share, term, m)
	}
	return nil, false
}

func (s *Store) lookAt(a *account, t *table, e *entry, term *term, m moment) (known *term, anew bool) {
	known = &s.limits.at(e.number()).term
	a.state, a.log = t.known(e, known, m.now)
	a.kept = known.window.per
	if known.same(&term.numbers) {
		a.limit = e.number()
		return known, false
	}
	if a.state.full(m.now) { // under whatever numbers
		a.state = State{}
		return known, false
	}
	if a.state, anew = term.express(a.state, known, m); term.algorithm != SlidingLog {
		a.log = log{}
	}
	return known, anew // or else keep what can't be expressed as it was
}

// numbered reports whether there is room for the terms' numbers.
func (s *Store) numbered(accounts []account, terms []term) bool {
	for i := range terms {
		if accounts[i].limit != 0 {
			continue
		}
		var ok bool
		if accounts[i].limit, ok = s.limits.number(&terms[i]); !ok {
			return false
		}
	}
	return true
}

// close records what becomes of every term after a hit that they all agreed to: of
// those of which nothing is kept yet in an entry of their own if there is room, or else
// in the overflow's. It records nothing, and returns false, if there is no room for
// new numbers, nor for overflow entries.
func (s *Store) close(accounts []account, t *table, terms []term, d Digest, now int64, room bool) bool {
	if !s.numbered(accounts, terms) {
		return false
	}
	if !room && !t.fitsShared(accounts) {
		return false
	}
	for i := range terms { // before any insert: it moves entries
		a := &accounts[i]
		switch {
		case a.entry != nil:
			t.charge(a.entry, &terms[i], a, now)
			t.touch(a.entry)
		case a.share != nil && !room:
			terms[i].prolong(&a.next, now)
			t.charge(a.share, &terms[i], a, now)
			t.touch(a.share)
			s.follow(t, a.share, &terms[i], d, now)
		}
	}
	for i := range terms {
		a := &accounts[i]
		if a.entry != nil || a.share != nil && !room {
			continue
		}
		id := d
		if !room {
			id = d.overflow()
			terms[i].prolong(&a.next, now)
		}
		e := entry{hi: id.Hi, lo: terms[i].lo(id)}
		t.charge(&e, &terms[i], a, now)
		t.touch(&e)
		t.insert(e, now)
	}
	return true
}

// express is the state s of the limit from in the numbers of t: what was taken
// stays taken. lossless is false where t can't hold that much, or nothing.
func (t *term) express(s State, from *term, m moment) (next State, lossless bool) {
	if t.numbers.burst == 0 || s.full(m.now) {
		return State{}, t.numbers.burst != 0
	}
	switch {
	case !t.windowed() && !from.windowed():
		d, lossless := t.gcra.express(from.debt(s, m.now), &from.gcra)
		return t.owing(d, m.now), lossless
	case t.algorithm == from.algorithm:
		return t.window.resize(s, &from.window, t.algorithm.windows(), m), true
	}
	used := from.used(s, m.now)
	next, _ = t.take(State{}, uint64(min(used, t.numbers.burst)), m)
	return next, used <= t.numbers.burst
}

// share divides the term among replicas. The rate is divided exactly, by
// stretching the window; the burst is rounded down, but to no less than 1.
func (t *term) share(replicas int) term {
	n := t.numbers
	if replicas <= 1 || n.burst == 0 {
		return *t
	}
	k := int64(replicas)
	n.burst = max(1, n.burst/k)
	if t.windowed() || n.per > maxFill/k {
		n.count = max(1, n.count/k) // windows stay as long, and so do those of decades
	} else {
		n.per *= k
	}
	return newTerm(t.id, n, t.window.zone)
}
