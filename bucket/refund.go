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
// changed since, when the key has been reset, and when its state has moved to
// another store: the strict side.
func (s *Store) Refund(rule *Rule, key string, r Receipt, now int64) (credited bool) {
	return s.RefundDigest(rule, s.Digest(rule, key), r, now)
}

// RefundDigest is Refund for a key that was digested elsewhere.
func (s *Store) RefundDigest(rule *Rule, d Digest, r Receipt, now int64) (credited bool) {
	credited, _ = s.RefundHeld(nil, rule, d, r, now)
	return credited
}

// RefundHeld is RefundDigest on the condition that held isn't 0, unless it is
// nil. ok says whether it wasn't.
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
	if held != nil && held.Load() == 0 {
		return false, false
	}
	if r.tokens <= 0 || r.store != s.id || r.rule != h.print || r.at < sh.refunds.void {
		return false, true
	}
	m := moment{h.now, satAdd(s.epoch, h.now)}
	for i := range h.terms[:h.plain] {
		var a account
		t := &h.terms[i]
		s.open(&a, &sh.table, t, h.digest, m)
		if a.entry == nil || a.state.full(h.now) || s.limits.at(a.entry.number()).numbers != t.numbers {
			continue
		}
		if t.windowed() {
			a.next = t.refundWindow(a.state, r, h.now)
		} else {
			a.next = t.refundBucket(a.state, sh.refunds.owed(&t.gcra, h, &r, i), h.now)
		}
		if a.next != a.state {
			a.entry.set(a.next, a.entry.number())
			sh.table.touch(a.entry)
			credited = true
		}
	}
	if credited {
		sh.refunds.add(h.digest, r, h.now)
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

func (t *term) refundWindow(s State, r Receipt, now int64) State {
	if t.algorithm == SlidingWindow {
		return t.window.refundSliding(s, r, now)
	}
	if r.at > s.at-t.window.per {
		s.val -= min(s.val, uint64(r.tokens))
	}
	return s
}

func (w *window) refundSliding(s State, r Receipt, now int64) State {
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

// refunds is what a shard remembers of refunds and resets, for the sake of the
// receipts that are still out. A refund brings forward the charges after its own:
// they are paid back sooner than their receipts say.
type refunds struct {
	void   int64 // receipts of charges before then are void: some key was reset
	unsure int64 // for charges before then some refund that came after is forgotten
	next   int
	last   *[rememberedRefunds]refunded // nil until there is one
}

// rememberedRefunds is how many refunds a shard of 256 remembers. A charge that
// is refunded after more than so many others of the shard is credited as if
// nothing had been owed before it.
const rememberedRefunds = 64

type refunded struct {
	digest  Digest
	receipt Receipt
	at      int64
}

func (l *refunds) add(d Digest, r Receipt, now int64) {
	if l.last == nil {
		l.last = new([rememberedRefunds]refunded)
	}
	e := &l.last[l.next]
	if e.receipt.tokens > 0 {
		l.unsure = max(l.unsure, e.at+1)
	}
	*e = refunded{d, r, now}
	l.next = (l.next + 1) % rememberedRefunds
}

// owed is what at least is still to be paid back of the charge of receipt r to the
// limit at place i, which counts as g says.
func (l *refunds) owed(g *gcra, h *hit, r *Receipt, i int) span {
	width, age := width(h.plain), h.now-r.at
	price, until := g.claim(r, i, width)
	if r.at < l.unsure {
		return g.rest(price, price, age)
	}
	if l.last != nil {
		for j := range l.last {
			e := &l.last[j]
			if e.digest != h.digest || e.at < r.at || e.receipt.at > r.at || e.receipt.tokens == 0 {
				continue // it brought forward nothing, or only what came later
			}
			if e.receipt.rule != r.rule {
				return g.rest(price, price, age)
			}
			cost, last := g.claim(&e.receipt, i, width)
			if shift := g.rest(cost, last, e.at-e.receipt.at); until.longer(shift) {
				until = g.sub(until, shift)
			} else {
				until = span{}
			}
		}
	}
	if price.longer(until) {
		until = price // it can't have begun to be paid back before it was charged
	}
	return g.rest(price, until, age)
}

// claim is the cost of a charge, and how long after it the last of it was to be
// paid back.
func (g *gcra) claim(r *Receipt, i int, width uint) (price, until span) {
	price = g.cost(min(uint64(r.tokens), g.burst))
	until = span{ns: min(r.grains(i, width)<<g.grain(width), maxFill)}
	if price.longer(until) {
		until = price
	}
	return price, until
}

// rest is how much of a price is still to be paid back after age, if the last of
// it is until.
func (g *gcra) rest(price, until span, age int64) span {
	passed := span{ns: uint64(max(age, 0))}
	if !until.longer(passed) {
		return span{}
	}
	if until = g.sub(until, passed); until.longer(price) {
		return price
	}
	return until
}
