package bucket

import "math"

// refunds is what a shard remembers for the sake of the receipts that are still
// out. A refund brings forward the charges after its own: they are paid back sooner
// than their receipts say. A reset, or a change of the limits' numbers, makes all
// receipts of its key from before void.
type refunds struct {
	void   int64 // for all keys: so old that it may have been for one of them
	unsure int64 // for charges before then some refund that came after is forgotten
	next   int
	last   *[rememberedRefunds]refunded // nil until there is one
}

// rememberedRefunds is how many refunds, and keys with void receipts, a shard of
// 256 remembers. A charge that is refunded after more than so many others of the
// shard is credited as if nothing had been owed before it.
const rememberedRefunds = 64

// refunded is a refund, or without a receipt that all receipts of a key from up to
// then are void.
type refunded struct {
	digest  Digest
	receipt Receipt
	at      int64
}

func (l *refunds) add(e refunded) {
	if l.last == nil {
		l.last = new([rememberedRefunds]refunded)
	}
	switch oldest := &l.last[l.next]; {
	case oldest.receipt.tokens > 0:
		l.unsure = max(l.unsure, oldest.at+1)
	case oldest.digest != Digest{}:
		l.void = max(l.void, oldest.at+1)
	}
	l.last[l.next] = e
	l.next = (l.next + 1) % rememberedRefunds
}

// forget makes all receipts of a key void that are out.
func (l *refunds) forget(d Digest, now int64) {
	if e := l.forgotten(d); e != nil {
		e.at = max(e.at, now)
		return
	}
	l.add(refunded{digest: d, at: now})
}

// returned notes that lent tokens of a key came back. That brings forward charges as
// a refund does, of which it can't be said which.
func (l *refunds) returned(d Digest, now int64) {
	lent := Receipt{tokens: 1, at: math.MinInt64}
	if l.last != nil {
		for i := range l.last {
			if e := &l.last[i]; e.digest == d && e.receipt == lent {
				e.at = max(e.at, now)
				return
			}
		}
	}
	l.add(refunded{d, lent, now})
}

// forgot reports whether a receipt of that time is void.
func (l *refunds) forgot(d Digest, at int64) bool {
	e := l.forgotten(d)
	return e != nil && at <= e.at
}

// forgotten is where it is remembered that receipts of a key are void, or nil.
func (l *refunds) forgotten(d Digest) *refunded {
	if l.last != nil {
		for i := range l.last {
			if e := &l.last[i]; e.digest == d && e.receipt.tokens == 0 {
				return e
			}
		}
	}
	return nil
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
			if e.receipt.rule != r.rule || e.receipt.at < 0 {
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
