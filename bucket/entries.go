package bucket

import "time"

// fullRetry is when to ask again after the numbering had no room: by then a
// sweep may have freed some.
const fullRetry = time.Second

// lo is the low half of the digest under which the term's state is kept. The
// high half stays as it is: it chooses partition and shard.
func (t *term) lo(d Digest) uint64 { return d.Lo ^ t.id }

// open looks up what the key owes under the term, in the term's numbers,
// whatever numbers it had when that was taken.
func (s *Store) open(a *account, t *table, term *term, d Digest, now int64) {
	a.entry = t.find(d.Hi, term.lo(d))
	if a.entry == nil {
		return
	}
	if known := s.limits.at(a.entry.limit); known.numbers == term.numbers {
		a.debt = term.debt(a.entry.state, now)
	} else {
		a.debt = term.express(known.gcra.debt(a.entry.state, now), &known.gcra)
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
