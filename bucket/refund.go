package bucket

import "sync/atomic"

// Refund gives back what the decision with this receipt took from key, as far as
// it hasn't come back by itself: to a window only if it is still the one of the
// charge, or counts as the one before; to a bucket what is still owed of the charge,
// where tokens come back oldest charge first. It never makes a bucket more than
// full, and never credits what others took. credited says whether any limit got
// anything.
//
// A receipt is good for one refund, and once for each Part: that is the caller's
// affair. Used again it takes from what others owe, at most as much again, never
// above full. It is forgotten, and refunds nothing, when the rule's numbers have
// changed since, though they were changed back; when the key has been reset; and
// when its state has moved to another store: the strict side. A state that came back
// from there is only known as such by RefundHeld.
func (s *Store) Refund(rule *Rule, key string, r Receipt, now int64) (credited bool) {
	return s.RefundDigest(rule, s.Digest(rule, key), r, now)
}

// RefundDigest is Refund for a key that was digested elsewhere.
func (s *Store) RefundDigest(rule *Rule, d Digest, r Receipt, now int64) (credited bool) {
	credited, _ = s.RefundHeld(nil, rule, d, r, now)
	return credited
}

// RefundHeld is RefundDigest on the condition that held isn't 0, unless it is
// nil. ok says whether it wasn't. held says since when the state is here: receipts
// from before are forgotten.
func (s *Store) RefundHeld(held *atomic.Int64, rule *Rule, d Digest, r Receipt, now int64) (credited, ok bool) {
	return s.refund(held, &hit{rule.terms, rule.plain, rule.print, d, r.tokens, now}, r)
}

// RefundShare is RefundDigest for what TakeShare took, while the replicas are as
// many as they were.
func (s *Store) RefundShare(rule *Rule, d Digest, r Receipt, now int64, replicas int) (credited bool) {
	var space [MaxLimits]term
	credited, _ = s.refund(nil, &hit{rule.shares(space[:], replicas), rule.plain, rule.shareprint(replicas), d, r.tokens, now}, r)
	return credited
}

func (s *Store) refund(held *atomic.Int64, h *hit, r Receipt) (credited, ok bool) {
	sh := s.shard(h.digest)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	since, ok := heldSince(held)
	if !ok {
		return false, false
	}
	since = max(since, sh.table.aside.refunds.void)
	if r.tokens <= 0 || r.store != s.id || r.rule != h.print || r.at < since || sh.table.aside.refunds.forgot(h.digest, r.at) {
		return false, true
	}
	m := moment{h.now, satAdd(s.epoch, h.now)}
	s.lease(sh, h.digest, m) // what has ended was never less than at the floor
	for i := range h.terms[:h.plain] {
		var a account
		t := &h.terms[i]
		known, _ := s.look(&a, &sh.table, t, h.digest, m)
		if a.entry == nil || a.state.full(h.now) || known.numbers != t.numbers {
			continue
		}
		switch {
		case t.algorithm == SlidingLog:
			t.refundLog(&a, &r, i, h.plain)
		case t.windowed():
			a.next = t.refundWindow(a.state, &r, i, h)
		default:
			a.next = t.refundBucket(a.state, sh.table.aside.refunds.owed(&t.gcra, h, &r, i), h.now)
		}
		if a.next != a.state {
			sh.table.discharge(t, &a)
			sh.table.touch(a.entry)
			credited = true
		}
	}
	if credited {
		sh.table.aside.refunds.add(refunded{h.digest, r, h.now})
	}
	return credited, true
}

// refundBucket is the state s after a refund of so much of its debt.
func (t *term) refundBucket(s State, owed span, now int64) State {
	d := t.gcra.debt(s, now)
	if owed.longer(d) {
		owed = d
	}
	if owed == (span{}) {
		return s
	}
	return t.gcra.owing(t.gcra.sub(d, owed), now)
}

// refundLog takes so many tokens out of the account's log as are there with the
// time of the i-th limit's charge.
func (t *term) refundLog(a *account, r *Receipt, i, limits int) {
	width := width(limits)
	late := r.grains(i, width)
	if a.next = a.state; late == 1<<width-1 {
		return // it was later than the receipt can say
	}
	if a.log.remove(int(min(r.tokens, maxLog)), r.at+int64(late)) > 0 {
		a.next = t.window.logState(&a.log)
	}
}

// refundWindow is the state s after a refund, if its window is still that of the
// i-th limit's charge.
func (t *term) refundWindow(s State, r *Receipt, i int, h *hit) State {
	if t.algorithm == SlidingWindow {
		return t.window.refundSliding(s, r, h.now)
	}
	width := width(h.plain)
	if r.at > s.at-t.window.longest() && r.grains(i, width) == uint64(s.seq)&(1<<width-1) {
		s.val -= min(s.val, uint64(r.tokens))
	}
	return s
}

func (w *window) refundSliding(s State, r *Receipt, now int64) State {
	p, _ := w.pair(s, now)
	n, began := uint64(r.tokens), now-p.into
	switch {
	case r.at >= began && p.current > 0:
		p.current -= min(p.current, n)
	case r.at < began && r.at >= began-w.per && p.before > 0:
		p.before -= min(p.before, n)
	default:
		return s
	}
	return w.state(p, now)
}
