package bucket

import "sync/atomic"

// Reset makes key whole again under every limit and penalty of the rule, and
// reports whether there was anything to forget. Receipts from before are void.
//
// A copy of the key's state that is elsewhere still knows what was taken, and
// Merge brings it back: who keeps copies must reset the key at all of them. Tokens
// that are lent stay so, and lower the capacity until their leases end; but not those
// that were lent by a store which had the key's state before.
func (s *Store) Reset(rule *Rule, key string, now int64) (found bool) {
	return s.ResetDigest(rule, s.Digest(rule, key), now)
}

// ResetDigest is Reset for a key that was digested elsewhere.
func (s *Store) ResetDigest(rule *Rule, d Digest, now int64) (found bool) {
	found, _ = s.ResetHeld(nil, rule, d, now)
	return found
}

// ResetHeld is ResetDigest on the condition that held isn't 0, unless it is nil.
// ok says whether it wasn't.
func (s *Store) ResetHeld(held *atomic.Int64, rule *Rule, d Digest, now int64) (found, ok bool) {
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false, false
	}
	s.lease(sh, d, moment{now, satAdd(s.epoch, now)})
	for i := range rule.terms {
		e := sh.table.find(d.Hi, rule.terms[i].lo(d))
		if e == nil {
			continue
		}
		t := &s.limits.at(e.number()).term
		state, _ := sh.table.known(e, t, now)
		left, _ := t.left(state, now)
		found = found || left < t.numbers.burst
		// A whole state is no state: the sweep drops it. The number of its window
		// stays, so that the next one is newer than any copy's.
		sh.table.write(e, State{seq: state.seq}, e.number())
	}
	sh.table.aside.refunds.forget(d, now)
	return found, true
}
