package bucket

// known is what an entry says under its term, at now: its state, and the log of
// one that has any.
func (t *table) known(e *entry, term *term, now int64) (State, log) {
	if e.limit&logBit == 0 {
		return e.state(), log{}
	}
	return t.logged(e, term, now)
}

// logged is known of an entry with logBit.
func (t *table) logged(e *entry, term *term, now int64) (State, log) {
	l := t.log(e)
	l.expire(term.window.per, now)
	return term.window.logState(&l), l
}

// log is the log of an entry with logBit, whose val has where in its block it
// begins and how long it is, and whose seq is the block's handle.
func (t *table) log(e *entry) log {
	return log{ring: t.logs.block(e.seq), head: int(e.val >> 32), n: int(uint32(e.val))}
}

// dropLog gives back an entry's log, if it has one.
func (t *table) dropLog(e *entry) {
	if e.limit&logBit != 0 {
		t.logs.release(e.seq)
		e.limit &^= logBit
	}
}

// room returns the log l of the entry, or an empty one, in a block of the entry's
// in which it can grow to n: the one that it has, unless that is too small or
// four times too large.
func (t *table) room(e *entry, l log, n int) log {
	if t.logs == nil {
		t.logs = new(slab)
	}
	size := sizeFor(n)
	if e.limit&logBit != 0 {
		l.ring = t.logs.block(e.seq)
		if block := len(l.ring); n <= block && (n > block/4 || block == minBlock) {
			return l
		}
	}
	handle := t.logs.allocate(size)
	moved := log{ring: t.logs.block(handle), n: l.n}
	for i := range l.n {
		moved.ring[i] = l.at(i)
	}
	t.dropLog(e)
	e.seq, e.limit = handle, e.limit|logBit
	return moved
}

// writeLog makes an entry's state that of the log l, which room returned.
func (t *table) writeLog(e *entry, l log, term *term, limit uint32) {
	e.at = term.window.logState(&l).at
	e.val = uint64(l.head&(len(l.ring)-1))<<32 | uint64(l.n)
	t.number(e, limit)
	e.limit |= logBit
}

// charge writes what has become of an account into its entry.
func (t *table) charge(e *entry, term *term, a *account, now int64) {
	if term.algorithm != SlidingLog {
		t.write(e, a.next, a.limit)
		return
	}
	l := t.room(e, a.log, int(a.next.val))
	if a.log.n == 0 { // its state is that of tokens taken at once
		l.add(int(a.state.val), a.state.at+1-term.window.per)
	}
	l.add(int(a.next.val)-l.n, now)
	t.writeLog(e, l, term, a.limit)
}

// discharge writes what has become of an account after a refund into its entry.
func (t *table) discharge(term *term, a *account) {
	if a.log.n > 0 {
		t.writeLog(a.entry, a.log, term, a.entry.number())
	} else {
		t.write(a.entry, a.next, a.entry.number())
	}
}

// restate makes an entry's state, of the log was if from has one, that of term.
// It returns what known would.
func (t *table) restate(e *entry, limit uint32, term, from *term, s State, was log, now int64) (State, log) {
	if term.algorithm != SlidingLog || s.full(now) {
		t.write(e, s, limit)
		return s, log{}
	}
	l := was
	if was.n > 0 {
		l.stretch(from.window.per, term.window.per, now)
	} else {
		l = t.room(e, log{}, int(s.val))
		l.add(int(s.val), s.at+1-term.window.per)
	}
	t.writeLog(e, l, term, limit)
	return term.window.logState(&l), l
}

// replace makes an entry's state one that has been received, with the log behind
// it or without.
func (t *table) replace(e *entry, limit uint32, term *term, s State, l log) {
	if term.algorithm != SlidingLog {
		t.write(e, s, limit)
		return
	}
	own := t.room(e, log{}, l.n)
	own.absorb(&l)
	t.writeLog(e, own, term, limit)
}

// merge brings an entry's state together with another of the same limit, and
// reports whether that changed it.
func (t *table) merge(e *entry, term *term, s State, l log, now int64) (changed bool) {
	if term.algorithm != SlidingLog {
		merged := term.algorithm.Merge(e.state(), s)
		if changed = merged != e.state(); changed {
			t.write(e, merged, e.number())
		}
		return changed
	}
	if l.n == 0 { // tokens of another algorithm's, taken at once
		l = log{ring: make([]int64, ceilPower(int(s.val)))}
		l.add(int(s.val), s.at+1-term.window.per)
	}
	_, own := t.known(e, term, now)
	if own.covers(&l) {
		return false
	}
	own = t.room(e, own, max(own.n, l.n))
	own.absorb(&l)
	t.writeLog(e, own, term, e.number())
	return true
}
