package bucket

import "time"

// fullRetry is when to ask again after the numbering had no room: by then a
// sweep may have freed some.
const fullRetry = time.Second

// lo is the low half of the digest under which the term's state is kept. The
// high half stays as it is: it chooses partition and shard.
func (t *term) lo(d Digest) uint64 { return d.Lo ^ t.id }

// open looks up what the key owes under the term. If that was taken under other
// numbers it is expressed in the term's, for good and whatever becomes of the
// hit: from now on it comes back at the new rate.
func (s *Store) open(a *account, t *table, term *term, d Digest, now int64) {
	e := t.find(d.Hi, term.lo(d))
	if e == nil {
		return
	}
	a.entry = e
	known := s.limits.at(e.limit)
	if known.numbers == term.numbers {
		a.debt = term.debt(e.state, now)
		return
	}
	debt, lossless := term.express(known.gcra.debt(e.state, now), &known.gcra)
	a.debt = debt
	if !lossless {
		return // keep what can't be expressed as it was
	}
	if limit, ok := s.limits.number(term); ok {
		e.state, e.limit = term.after(debt, now), limit
	}
}

// close records what every term owes after a hit that they all agreed to. It
// records nothing, and returns false, if there is no room for new numbers.
func (s *Store) close(accounts []account, t *table, terms []term, d Digest, now int64) bool {
	var limits [MaxLimits]uint32
	for i := range terms {
		if e := accounts[i].entry; e != nil && s.limits.at(e.limit).numbers == terms[i].numbers {
			limits[i] = e.limit
			continue
		}
		var ok bool
		if limits[i], ok = s.limits.number(&terms[i]); !ok {
			return false
		}
	}
	for i := range terms { // before any insert: it moves entries
		if e := accounts[i].entry; e != nil {
			e.state, e.limit = terms[i].after(accounts[i].after, now), limits[i]
		}
	}
	for i := range terms {
		if accounts[i].entry == nil {
			t.insert(entry{d.Hi, terms[i].lo(d), terms[i].after(accounts[i].after, now), limits[i]}, now)
		}
	}
	return true
}

// share divides the term among replicas. The rate is divided exactly, by
// stretching the window; the burst is rounded down, but to no less than 1.
func (t *term) share(replicas int) term {
	n := t.numbers
	if replicas <= 1 || n.count == 0 {
		return *t
	}
	k := int64(replicas)
	n.burst = max(1, n.burst/k)
	if n.per > maxFill/k {
		n.count = max(1, n.count/k) // a window of decades: divide the count instead
	} else {
		n.per *= k
	}
	return newTerm(t.id, n)
}
