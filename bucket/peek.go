package bucket

import (
	"slices"
	"sync/atomic"
)

// Peek returns the decision that Take would make now, but for its receipt. It
// changes nothing and allocates nothing, whether or not the key is there.
func (s *Store) Peek(rule *Rule, key string, n, now int64) Decision {
	if rule.Mode() == Off {
		return rule.off()
	}
	return rule.Decision(s.PeekDigest(rule, s.Digest(rule, key), n, now))
}

// PeekDigest is Peek for a key that was digested elsewhere, as TakeDigest is Take.
func (s *Store) PeekDigest(rule *Rule, d Digest, n, now int64) Verdict {
	v, _ := s.PeekHeld(nil, rule, d, n, now, 1)
	return v
}

// PeekHeld is PeekDigest on the condition that held isn't 0, unless it is nil. ok
// says whether it wasn't.
func (s *Store) PeekHeld(held *atomic.Int64, rule *Rule, d Digest, n, now int64, replicas int) (v Verdict, ok bool) {
	if replicas > 1 {
		var space [MaxLimits]term
		return s.peek(held, &hit{rule.shares(space[:], replicas), rule.plain, rule.shareprint(replicas), d, n, now})
	}
	return s.peek(held, &hit{rule.terms, rule.plain, rule.print, d, n, now})
}

// PeekShare is PeekDigest by a limit divided among that many replicas, as
// TakeShare divides it.
func (s *Store) PeekShare(rule *Rule, d Digest, n, now int64, replicas int) Verdict {
	var space [MaxLimits]term
	v, _ := s.peek(nil, &hit{rule.shares(space[:], replicas), rule.plain, rule.shareprint(replicas), d, n, now})
	return v
}

func (s *Store) peek(held *atomic.Int64, h *hit) (v Verdict, ok bool) {
	if h.n < 0 {
		return Verdict{RetryAfter: Never}, true
	}
	sh := s.shard(h.digest)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return Verdict{}, false
	}
	m := moment{h.now, satAdd(s.epoch, h.now)}
	var space [MaxLimits]account
	accounts := space[:len(h.terms)]
	lease := s.lease(sh, h.digest, m)
	for i := range h.terms {
		s.look(&accounts[i], &sh.table, &h.terms[i], h.digest, m)
		s.lookAhead(&accounts[i], &sh.table, &h.terms[i], h.digest, m)
	}
	if lease != nil {
		lease.lower(&v, h, accounts, m)
	}
	settle(&v, h.terms, h.plain, accounts, uint64(h.n), m)
	if v.Allowed && h.n > 0 && !s.limits.fits(h.terms[:h.plain]) {
		return Verdict{Degraded: true, RetryAfter: fullRetry}, true
	}
	return v, true
}

// fits reports whether there are numbers for all of the terms, or would be.
func (n *numbering) fits(terms []term) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	room := len(n.free) + n.limit + 1 - len(*n.known.Load())
	for i := range terms {
		same := func(t term) bool { return t.key() == terms[i].key() }
		if _, known := n.index[terms[i].key()]; !known && !slices.ContainsFunc(terms[:i], same) {
			room--
		}
	}
	return room >= 0
}
