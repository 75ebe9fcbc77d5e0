package bucket

import (
	"sync/atomic"
	"time"
)

// takeOne is take for the commonest hit by far: on a rule that is one token bucket,
// of a key that is there in the same numbers. It decides exactly as decide does, to
// which it leaves every other hit, in a third of the time: what it works with stays in
// registers. n is at least 0.
func (s *Store) takeOne(v *Verdict, held *atomic.Int64, rule *Rule, digest Digest, n, now int64) (ok bool) {
	t, sh := &rule.terms[0], s.shard(digest)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	e := sh.table.find(digest.Hi, t.lo(digest))
	if e == nil || uint64(n) > t.gcra.burst || s.unusual(sh, digest) || !s.limits.at(e.number()).same(&t.numbers) {
		s.decide(v, sh, &hit{rule.terms, rule.plain, rule.print, digest, n, now})
		return true
	}
	g := &t.gcra
	after, wait := g.charge(g.debt(e.state(), now), uint64(n))
	v.Remaining, v.ResetAfter = g.remaining(after), time.Duration(after.ceil())
	switch {
	case wait > 0:
		v.RetryAfter = time.Duration(wait)
	case n == 0:
		v.Allowed = true
	default:
		v.Allowed = true
		next := g.owing(after, now)
		e.at, e.val, e.seq = next.at, next.val, 0
		sh.table.touch(e)
		// Field by field: a literal is made elsewhere and then copied.
		r := &v.Receipt
		r.at, r.tokens, r.store, r.rule, r.owed = now, n, s.id, rule.print, after.ns>>rule.grain
	}
	return true
}

// unusual reports whether more than its entry may have to be known of a key.
func (s *Store) unusual(sh *shard, d Digest) bool {
	return s.lent[shardOf(d)].marked(d) || s.foreign.Load() && sh.table.aside.received[partitionIn(d.Hi)] != 0
}
