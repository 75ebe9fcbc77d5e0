package bucket

import (
	"cmp"
	"math"
	"math/bits"
)

// State is what is remembered of one key under one limit: the moment at which
// its bucket will be full again (in GCRA's terms the theoretical arrival time,
// TAT), on the clock of the store that holds it. It is exact: nanoseconds, and
// a fraction in units that the limit's numbers define. The zero State is a full
// bucket.
type State struct {
	at   int64  // whole nanoseconds
	frac uint64 // and frac/g.tokens of one more, below 1
}

// Merge returns the stricter of two copies of a state that were made under the
// same limit: the one that is full later. It is commutative, associative and
// idempotent, so copies may meet in any order and any number of times.
func Merge(a, b State) State {
	if a.before(b) {
		return b
	}
	return a
}

func (s State) before(t State) bool {
	return cmp.Or(cmp.Compare(s.at, t.at), cmp.Compare(s.frac, t.frac)) < 0
}

// full reports whether the state says nothing any more.
func (s State) full(now int64) bool {
	return s.at < now || s.at == now && s.frac == 0
}

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
	return span{uint64(s.at - now), s.frac}
}

// after is the state whose debt at now is d.
func (g *gcra) after(d span, now int64) State {
	at := now + int64(d.ns)
	if at < now {
		at = math.MaxInt64
	}
	return State{at, d.frac}
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

// charge is the debt after n more tokens are taken on top of debt d, and how
// long to wait until that fits: 0 if it fits now, Never if it can't.
func (g *gcra) charge(d span, n uint64) (after span, wait int64) {
	if g.burst == 0 || n > g.burst {
		return d, int64(Never)
	}
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
	hi, lo := g.units(d)
	used, rest := bits.Div64(hi, lo, g.period)
	if rest > 0 {
		used++
	}
	return int64(g.burst - used)
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
