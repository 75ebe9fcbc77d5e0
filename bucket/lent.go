package bucket

// lent is the leases of a shard's keys, by the high half of their digests, which all
// limits of a key share.
type lent struct {
	leases map[uint64]*lease // nil while there is none
	marks  [4]uint64         // one bit of 256 for each, so that hits on other keys needn't look
	_      [3]uint64         // to a cache line
}

const (
	shardLeases = 32   // that many keys of a shard of 256 can be leased at a time,
	maxHolders  = 1024 // each by so many replicas
)

func (l *lent) full() bool { return len(l.leases) >= shardLeases }

// mark is where a key's bit is.
func mark(d Digest) (word int, bit uint64) { return int(d.Lo >> 62), 1 << (d.Lo >> 56 % 64) }

// marked reports whether the key may be leased: of those that aren't one in eight is, at
// most.
func (l *lent) marked(d Digest) bool {
	word, bit := mark(d)
	return l.marks[word]&bit != 0
}

// add remembers a lease.
func (l *lent) add(of *lease) {
	if l.leases == nil {
		l.leases = map[uint64]*lease{}
	}
	l.leases[of.digest.Hi] = of
	word, bit := mark(of.digest)
	l.marks[word] |= bit
}

// end forgets a lease.
func (l *lent) end(of *lease) {
	if delete(l.leases, of.digest.Hi); len(l.leases) == 0 {
		l.leases = nil
	}
	l.marks = [4]uint64{}
	for _, other := range l.leases {
		word, bit := mark(other.digest)
		l.marks[word] |= bit
	}
}

// end forgets a lease. Its shard's mutex is held.
func (s *Store) end(l *lease) {
	s.lent[shardOf(l.digest)].end(l)
	s.leased.Add(-1)
}

// Leases returns how many keys are leased, and how many tokens are lent, spent or
// not, as far as is known here.
func (s *Store) Leases() (keys int, tokens int64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		keys += len(s.lent[i].leases)
		for _, l := range s.lent[i].leases {
			tokens = satAdd(tokens, l.out)
		}
		sh.mu.Unlock()
	}
	return keys, tokens
}

// lease returns what is lent of a key at m, or nil. It may move entries.
func (s *Store) lease(sh *shard, d Digest, m moment) *lease {
	lent := &s.lent[shardOf(d)]
	if !lent.marked(d) {
		return nil
	}
	l := lent.leases[d.Hi]
	if l == nil || l.digest != d || !s.expire(sh, l, m) {
		return nil
	}
	return l
}

// expire ends what has run out at m, and reports whether any is left of the lease.
// Each time the states are raised to the floor first, as it was then: what is spent
// in a lease's last nanosecond can't have come back by then.
func (s *Store) expire(sh *shard, l *lease, m moment) bool {
	if m.now < l.next {
		return true
	}
	l.sort()
	gone := 0
	for ; gone < len(l.holders) && l.holders[gone].expires <= m.now; gone++ {
		h := &l.holders[gone]
		if !s.raise(sh, l, moment{h.expires, satAdd(s.epoch, h.expires)}, m.now) {
			break
		}
		l.out -= h.left
	}
	l.holders = append(l.holders[:0], l.holders[gone:]...)
	l.schedule()
	if len(l.holders) > 0 {
		return true
	}
	s.end(l)
	return false
}

// raise writes the floor of the moment m into the states of a leased key. It is
// false where that needs a new entry, which finds no room for its numbers.
func (s *Store) raise(sh *shard, l *lease, m moment, now int64) bool {
	for i := range l.terms {
		t := &l.terms[i]
		e := sh.table.find(l.digest.Hi, t.lo(l.digest))
		if e != nil {
			known := &s.limits.at(e.number()).term
			if next := known.floor(e.state(), l.out, m); next != e.state() {
				sh.table.write(e, next, e.number())
				sh.table.touch(e)
			}
			continue
		}
		state := t.floor(State{}, l.out, m)
		if state.full(now) {
			continue
		}
		limit, ok := s.limits.number(t)
		if !ok {
			return false
		}
		e = &entry{hi: l.digest.Hi, lo: t.lo(l.digest)}
		sh.table.write(e, state, limit)
		sh.table.touch(e)
		sh.table.insert(*e, now)
	}
	return true
}

// lower puts the states of a hit's accounts to the floor.
func (l *lease) lower(v *Verdict, h *hit, accounts []account, m moment) {
	v.Leased = l.elsewhere()
	for i := range accounts[:h.plain] {
		a := &accounts[i]
		a.state, a.lease = h.terms[i].floor(a.state, l.out, m), l
	}
}

// endLeases ends those of a shard that have run out.
func (s *Store) endLeases(shard int, now int64) {
	for _, l := range s.lent[shard].leases {
		s.expire(&s.shards[shard], l, moment{now, satAdd(s.epoch, now)})
	}
}

// writeOut makes entries of what copies have to say of a shard's leased keys: an
// entry that was full was dropped, and is none of a key that is leased.
func (s *Store) writeOut(shard int, now int64) {
	sh, m := &s.shards[shard], moment{now, satAdd(s.epoch, now)}
	for _, l := range s.lent[shard].leases {
		if s.expire(sh, l, m) {
			s.raise(sh, l, m, now)
		}
	}
}

// frozen is what of a state of a leased key goes into a copy: as no tokens come back
// until the last lease has ended, whoever has the copy needn't know of leases, and
// merging stays what it is. Its price is what would have come back in that time.
func (l *lease) frozen(t *term, s State, now int64) State {
	if l == nil || l.out == 0 || t.windowed() {
		return s
	}
	s.at = satAdd(s.at, l.rest(now))
	return s
}
