package bucket

import (
	"sync/atomic"
	"time"
)

// TakeCommon is TakeHeld and Rule.Word for the commonest hit by far, in half of the time:
// on a rule that is one token bucket and is enforced, of a key that is there in the same
// numbers. d must be zero. The hit is counted, unless counts is nil. ok is false, and
// nothing was done, if it was any other hit, or held is 0.
func (s *Store) TakeCommon(d *Decision, held *atomic.Int64, counts *Counts, rule *Rule, digest Digest, n, now int64) (ok bool) {
	if !rule.single || n < 0 || rule.Mode() != Enforce {
		return false
	}
	sh, g := s.shard(digest), &rule.terms[0].gcra
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	e := s.common(sh, rule, digest, n)
	if e == nil {
		return false
	}
	// All is written before the lock is left: that waits for it anyway, and a copy of what
	// has just been written would wait again.
	after, wait := sh.table.deduct(e, g, n, now)
	counts.add(digest, wait == 0)
	d.Limit = rule.limits[0]
	d.Allowed = wait == 0
	d.Remaining = g.remaining(after)
	d.ResetAfter = time.Duration(after.ceil())
	d.RetryAfter = time.Duration(wait)
	if wait == 0 && n > 0 {
		s.writeOne(&d.Receipt, rule, after, n, now)
	}
	return true
}

// takeOne is take for such a hit, whatever the rule's mode. It decides exactly as decide
// does, to which it leaves every other hit on a token bucket. n is at least 0.
func (s *Store) takeOne(v *Verdict, held *atomic.Int64, rule *Rule, digest Digest, n, now int64) (ok bool) {
	sh, g := s.shard(digest), &rule.terms[0].gcra
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	e := s.common(sh, rule, digest, n)
	if e == nil {
		s.decide(v, sh, &hit{rule.terms, rule.plain, rule.print, digest, n, now})
		return true
	}
	after, wait := sh.table.deduct(e, g, n, now)
	v.Allowed = wait == 0
	v.Remaining = g.remaining(after)
	v.ResetAfter = time.Duration(after.ceil())
	v.RetryAfter = time.Duration(wait)
	if wait == 0 && n > 0 {
		s.writeOne(&v.Receipt, rule, after, n, now)
	}
	return true
}

// common returns the entry of a key under a rule that is one token bucket, or nil if
// there is none or more than it may have to be known for a hit of n tokens.
func (s *Store) common(sh *shard, rule *Rule, d Digest, n int64) *entry {
	t := &rule.terms[0]
	e := sh.table.find(d.Hi, t.lo(d))
	if e == nil || uint64(n) > t.gcra.burst || s.unusual(sh, d) || !s.limits.at(e.number()).same(&t.numbers) {
		return nil
	}
	return e
}

// unusual reports whether more than its entry may have to be known of a key.
func (s *Store) unusual(sh *shard, d Digest) bool {
	return s.lent[shardOf(d)].marked(d) || s.foreign.Load() && sh.table.aside.received[partitionIn(d.Hi)] != 0
}

// deduct takes n tokens, at most the burst, from a bucket if they are there. after is what
// it owes then, and wait how long until they are; 0 if they were.
func (t *table) deduct(e *entry, g *gcra, n, now int64) (after span, wait int64) {
	after, wait = g.charge(g.debt(e.state(), now), uint64(n))
	if wait == 0 && n > 0 {
		next := g.owing(after, now)
		e.at, e.val, e.seq = next.at, next.val, 0
		t.touch(e)
	}
	return after, wait
}

// writeOne makes r the receipt of a hit that was charged to one bucket. It is written
// field by field: a literal is made elsewhere and then copied.
func (s *Store) writeOne(r *Receipt, rule *Rule, after span, n, now int64) {
	r.at, r.tokens, r.store, r.rule, r.owed = now, n, s.id, rule.print, after.ns>>rule.grain
}
