package bucket

import (
	"math"
	"math/bits"
)

// span is a length of time, as exact as a State: ns nanoseconds and
// frac/g.tokens of one, with frac below g.tokens.
type span struct {
	ns   uint64
	frac uint64
}

func (s span) longer(t span) bool {
	return s.ns > t.ns || s.ns == t.ns && s.frac > t.frac
}

// ceil rounds up to whole nanoseconds: waiting that long is always enough.
func (s span) ceil() int64 {
	if s.frac > 0 {
		return int64(s.ns) + 1
	}
	return int64(s.ns)
}

// gcra is a limit's numbers, made ready: every period nanoseconds bring tokens
// tokens, in lowest terms, up to burst. One token therefore stands for
// period/tokens nanoseconds, and what was taken from a bucket, its debt, is the
// time that it takes to come back.
type gcra struct {
	tokens, period uint64
	burst          uint64
	one            span // what one token costs
	whole          span // what burst tokens cost: the deepest debt
}

// newGCRA makes a valid limit ready. A Count of 0 gives the zero gcra, which
// refuses everything.
func newGCRA(n numbers) gcra {
	if n.count == 0 {
		return gcra{}
	}
	d := gcd(uint64(n.count), uint64(n.per))
	g := gcra{tokens: uint64(n.count) / d, period: uint64(n.per) / d, burst: uint64(n.burst)}
	g.one, g.whole = g.cost(1), g.cost(g.burst)
	return g
}

// cost is the time that n tokens stand for: n·period/tokens, at most maxFill.
func (g *gcra) cost(n uint64) span {
	hi, lo := bits.Mul64(n, g.period)
	s, _ := g.spanOf(hi, lo)
	return s
}

// spanOf makes a span of a 128-bit number of 1/g.tokens nanoseconds. Beyond
// maxFill it saturates, and says so.
func (g *gcra) spanOf(hi, lo uint64) (s span, exact bool) {
	if hi >= g.tokens {
		return span{ns: maxFill}, false
	}
	s.ns, s.frac = bits.Div64(hi, lo, g.tokens)
	if s.longer(span{ns: maxFill}) {
		return span{ns: maxFill}, false
	}
	return s, true
}

// units is the reverse of spanOf.
func (g *gcra) units(s span) (hi, lo uint64) {
	hi, lo = bits.Mul64(s.ns, g.tokens)
	lo, carry := bits.Add64(lo, s.frac, 0)
	return hi + carry, lo
}

// debt is how long the bucket still needs to be full.
func (g *gcra) debt(s State, now int64) span {
	if s.full(now) {
		return span{}
	}
	return span{uint64(s.at - now), s.val}
}

// owing is the state whose debt at now is d. The moment at which the bucket will
// be full is GCRA's theoretical arrival time: at nanoseconds, and val/g.tokens of
// one.
func (g *gcra) owing(d span, now int64) State {
	return State{at: satAdd(now, int64(d.ns)), val: d.frac}
}

func (g *gcra) take(s State, n uint64, now int64) (next State, wait int64) {
	d, wait := g.charge(g.debt(s, now), n)
	if wait > 0 {
		return s, wait
	}
	return g.owing(d, now), 0
}

func (g *gcra) left(s State, now int64) (remaining, reset int64) {
	d := g.debt(s, now)
	return g.remaining(d), d.ceil()
}

func (g *gcra) add(a, b span) span {
	sum := span{a.ns + b.ns, a.frac + b.frac}
	if sum.frac >= g.tokens {
		sum.ns++
		sum.frac -= g.tokens
	}
	return sum
}

func (g *gcra) sub(a, b span) span {
	if a.frac < b.frac {
		return span{a.ns - b.ns - 1, a.frac + g.tokens - b.frac}
	}
	return span{a.ns - b.ns, a.frac - b.frac}
}

// charge is the debt after n more tokens, at most burst, are taken on top of debt
// d, and how long to wait until that fits: 0 if it fits now.
func (g *gcra) charge(d span, n uint64) (after span, wait int64) {
	price := g.one
	if n != 1 {
		price = g.cost(n)
	}
	if after = g.add(d, price); after.longer(g.whole) {
		return d, g.sub(after, g.whole).ceil()
	}
	return after, 0
}

// remaining is the number of whole tokens in a bucket with debt d.
func (g *gcra) remaining(d span) int64 {
	if g.burst == 0 || d.longer(g.whole) {
		return 0
	}
	return int64(g.burst) - g.used(d)
}

// used is the number of tokens, rounded up, that debt d stands for.
func (g *gcra) used(d span) int64 {
	hi, lo := g.units(d)
	if hi >= g.period {
		return math.MaxInt64
	}
	used, rest := bits.Div64(hi, lo, g.period)
	if rest > 0 {
		used++
	}
	return int64(min(used, math.MaxInt64))
}

// express turns the debt that was made under the limit from into the same
// number of tokens under g, so that changing a limit keeps what was consumed.
// It rounds up: no token is made by changing back and forth. lossless is false
// where g can't hold that much, or nothing.
func (g *gcra) express(d span, from *gcra) (s span, lossless bool) {
	if g.burst == 0 || from.burst == 0 {
		return span{}, false
	}
	hi, lo := from.units(d)
	if hi >= from.period {
		return span{ns: maxFill}, false
	}
	used, rest := bits.Div64(hi, lo, from.period)
	// rest/from.period of a token, in units of 1/g.tokens nanoseconds.
	hi, lo = bits.Mul64(rest, g.period)
	part, rest := bits.Div64(hi, lo, from.period)
	if rest > 0 {
		part++
	}
	hi, lo = bits.Mul64(used, g.period)
	lo, carry := bits.Add64(lo, part, 0)
	return g.spanOf(hi+carry, lo)
}

func gcd(a, b uint64) uint64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}
