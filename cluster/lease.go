package cluster

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

const (
	// firstHits of a hot key go to its holder before tokens are asked for, so that it
	// is known how many.
	firstHits = 8
	// leastAhead is how many tokens must be wanted while a question is answered for it to
	// be asked ahead. If there are fewer, the hit that finds none asks: it goes to the
	// holder in any case, while a question by itself costs as much as a few hits.
	leastAhead = 8
	// leastElapsed is the shortest time from which a rate is concluded.
	leastElapsed = time.Millisecond
	// coolRate is below how many tokens a second a lease isn't worth its messages;
	// busyRate is it where more than manyHot keys are known here.
	coolRate, busyRate = 25, 100
	manyHot            = 256
	// idleSweeps is after how many without a hit everything is given back.
	idleSweeps = 2
	// coolTime is how long it is watched at least.
	coolTime = 200 * time.Millisecond
	// mostDemand bounds what a hit counts for, and what is asked for, so that sums don't
	// overflow.
	mostDemand = 1 << 32
	mostWanted = 1 << 50
	// firstRTT is what a question is thought to take before one was asked.
	firstRTT = time.Millisecond
)

// lease is tokens of a key that its holder has lent to this replica. They were
// debited there before, so they can be spent here without asking, until their time is
// over; more are asked for before they run out. Package bucket has the holder's side,
// and the reasons.
//
// It says to the holder what it has left, in statements. One is under way at a time,
// and only the answer to the latest counts, once.
type lease struct {
	// What deciding a hit looks at: one cache line.
	expires atomic.Int64  // until when
	tokens  atomic.Int64  // so many can be spent;
	low     atomic.Int64  // when so few are left it is time to ask for more,
	lead    atomic.Int64  // or so long before they expire
	seq     atomic.Uint64 // of the latest statement
	left    atomic.Int64  // tokens that the holder has besides
	whole   atomic.Int64  // when the limit is whole again
	limit   atomic.Uint32 // that is nearest to refusing there
	asking  atomic.Bool   // a statement is under way

	term   int64        // the rule's LeaseTerm
	next   atomic.Int64 // nothing is asked before then
	scarce atomic.Bool  // the holder hasn't as much as is wanted: what isn't here is refused
	hold   denial       // what is said while the tokens are scarce

	_        [64]byte     // what follows is written by hits that have to be forwarded, or are refused
	unserved atomic.Int64 // what they cost, since the latest statement
	missed   atomic.Int64 // how many there were before the first

	leaseBooks
}

// leaseBooks is what a statement is made of. hotKey.mu guards it.
type leaseBooks struct {
	level   int64  // the tokens there would be if none had been spent since the latest statement
	ceiling int64  // what the holder believes to be here at most
	asked   int64  // when the latest statement was made, or the lease
	want    int64  // what that would have liked
	heard   uint64 // whose answer was taken last
	rtt     int64  // how long a question takes
	ended   bool   // nothing is to be asked for any more
	wanted  int64  // in all, before the latest statement
	counted int64  // of that, when the rate was looked at last,
	since   int64  // which was then
	used    int64  // since the latest statement, as of the last sweep
	idle    int    // sweeps without a hit
}

func newLease(rule *bucket.Rule, now int64) *lease {
	l := &lease{term: int64(rule.LeaseTerm())}
	l.asked, l.since, l.rtt = now, now, int64(firstRTT)
	return l
}

// spend takes n tokens, if they are there, and returns how many are left.
func (l *lease) spend(n, now int64) (left int64, ok bool) {
	if now >= l.expires.Load() {
		return 0, false
	}
	for {
		tokens := l.tokens.Load()
		if tokens < n {
			return 0, false
		}
		if l.tokens.CompareAndSwap(tokens, tokens-n) {
			return tokens - n, true
		}
	}
}

// tell writes the verdict on what has been spent.
func (l *lease) tell(v *bucket.Verdict, left, now int64) {
	v.Allowed, v.Limit = true, uint8(l.limit.Load())
	v.Remaining, v.ResetAfter = left+l.left.Load(), rest(l.whole.Load(), now)
}

// miss notes that n tokens weren't here.
func (l *lease) miss(n int64) { l.unserved.Add(min(n, mostDemand)) }

// early reports whether too few hits have missed for their rate to be known.
func (l *lease) early() bool { return l.seq.Load() == 0 && l.missed.Add(1) <= firstHits }

// unspend takes n tokens back that were spent since the statement of that number, if
// it is still the latest: then the holder doesn't know that they were spent. That
// nothing more is to be asked for doesn't matter: they are given back with the rest. It
// reports whether it did. hotKey.mu is held.
func (l *lease) unspend(n int64, seq uint64, now int64) bool {
	for l.seq.Load() == seq && now < l.expires.Load() {
		tokens := l.tokens.Load()
		if n > l.ceiling-tokens {
			return false
		}
		if l.tokens.CompareAndSwap(tokens, tokens+n) {
			return true
		}
	}
	return false
}

// runsLow reports whether it is time to ask for more.
func (l *lease) runsLow(left, now int64) bool {
	return left <= l.low.Load() || l.expires.Load()-now < l.lead.Load()
}

// claim reports whether a statement may be made now. Whoever has claimed one makes
// it, or gives up.
func (l *lease) claim(now int64) bool {
	return now >= l.next.Load() && l.asking.CompareAndSwap(false, true)
}

// refuses reports whether n tokens, which aren't here, are refused, as the holder
// hasn't enough for everybody. Nobody asks again before it said so, and then one.
func (l *lease) refuses(n, now int64, v *bucket.Verdict) bool {
	if !l.scarce.Load() {
		return false
	}
	if _, refused := l.hold.refuses(n, now, v); refused {
		return true
	}
	if now >= l.next.Load() && !l.asking.Load() {
		return false
	}
	v.Limit, v.ResetAfter = uint8(l.limit.Load()), rest(l.whole.Load(), now)
	v.RetryAfter = max(rest(l.next.Load(), now), time.Millisecond)
	return true
}

// state makes the statement that was claimed: with everything given back, if all is
// set. hotKey.mu is held.
func (l *lease) state(seq uint64, all bool, now int64) transport.Statement {
	demand := l.unserved.Swap(0)
	wait := max(l.term/4, l.rtt+l.rtt/4) // the lead
	span := wait + int64(bucket.LeasePace) + l.rtt
	elapsed := max(now-l.asked, int64(leastElapsed))
	s := transport.Statement{Seq: seq}
	for {
		tokens := l.tokens.Load()
		total := demand + l.level - tokens
		target := min(share(total, span, elapsed), mostWanted) + 1
		s.Back = 0
		switch {
		case all || now >= l.expires.Load():
			s.Back = tokens
		case tokens > 2*target && elapsed >= l.term/4:
			s.Back = tokens - target
		}
		s.Have = tokens - s.Back
		s.Want = max(target-s.Have, 0)
		if all || l.rtt*5 > l.term*3 {
			s.Want = 0
		}
		if !l.tokens.CompareAndSwap(tokens, s.Have) {
			continue
		}
		l.ahead(share(total, wait, elapsed), wait)
		l.wanted += total
		break
	}
	l.seq.Store(seq)
	l.level, l.ceiling, l.want, l.asked, l.used = s.Have, s.Have, s.Want, now, 0
	return s
}

// ahead notes how many tokens are wanted in the time that a question takes, at most: when
// no more are left, or no more time, it is to be asked.
func (l *lease) ahead(tokens, wait int64) {
	if tokens < leastAhead {
		tokens, wait = -1, 0
	}
	l.low.Store(tokens)
	l.lead.Store(wait)
}

// end makes the last statement, of a lease that has lost its place: everything is given
// back. hotKey.mu is held.
func (l *lease) end(seq uint64) transport.Statement {
	l.ended = true
	l.seq.Store(seq)
	return transport.Statement{Seq: seq, Back: l.tokens.Swap(0)}
}

// hear takes the answer to the statement of a number, unless another was made since or
// it has been taken. hotKey.mu is held.
func (l *lease) hear(seq uint64, a *transport.Answer, now int64) {
	if seq != l.seq.Load() || seq == l.heard || l.ended {
		return
	}
	l.rtt += (now - l.asked - l.rtt) / 4
	if l.ended = !a.Hot; a.Grant.Seq == seq {
		l.heard = seq
		l.take(&a.Grant, &a.Verdict, now)
	}
}

// take takes a grant, and what the holder said with it.
func (l *lease) take(g *transport.Grant, v *bucket.Verdict, now int64) {
	l.ceiling = satAdd(g.Keep, g.Grant)
	for {
		tokens := l.tokens.Load()
		lent := satAdd(min(tokens, g.Keep), g.Grant)
		if l.tokens.CompareAndSwap(tokens, lent) {
			l.level += lent - tokens
			break
		}
	}
	// Only now: what the holder hasn't let live on must not.
	l.expires.Store(max(l.expires.Load(), l.asked+min(int64(g.Term), l.term)))
	l.left.Store(g.Left)
	l.limit.Store(uint32(v.Limit))
	l.whole.Store(satAdd(now, int64(v.ResetAfter)))
	l.scarce.Store(g.Hold > 0)
	hold := min(g.Hold, time.Duration(l.term))
	pause := int64(hold)
	if g.Grant < l.want { // no more is lent: what there is can be asked for hit by hit
		pause = max(pause, int64(bucket.LeasePace))
	}
	l.next.Store(l.asked + pause)
	if hold > 0 {
		l.hold.until.Store(0)
		l.hold.note(1, l.asked, now, &bucket.Verdict{Limit: v.Limit, RetryAfter: max(hold, v.RetryAfter), ResetAfter: v.ResetAfter}, hold)
	}
}

// lost gives up a statement that nobody has answered. The holder may be in trouble:
// others know what to do then, who must be asked. hotKey.mu is held.
func (l *lease) lost(seq uint64) {
	if l.seq.Load() == seq && l.heard != seq {
		l.scarce.Store(false)
	}
}

// sweep looks after the lease once in a quarter of its term: it reports whether
// everything is to be given back, as it is over or nobody wants it, and whether it
// isn't worth its while any more, as fewer tokens a second are wanted than the rate.
// hotKey.mu is held.
func (l *lease) sweep(now, rate int64) (giveBack, cool bool) {
	tokens := l.tokens.Load()
	used := l.level - tokens + l.unserved.Load()
	if used != l.used {
		l.used, l.idle = used, 0
	} else {
		l.idle++
	}
	if window := now - l.since; window >= int64(coolTime) {
		total := l.wanted + used
		cool = share(total-l.counted, int64(time.Second), window) < rate
		l.counted, l.since = total, now
	}
	cool = cool || l.ended
	return tokens > 0 && (cool || l.spare(now)), cool
}

// spare reports whether what there is won't be spent. Where few tokens are wanted the
// next hit gives back what has expired, if it comes in time. l is swept.
func (l *lease) spare(now int64) bool {
	expired := now >= l.expires.Load()
	if l.low.Load() < 0 {
		return expired && l.idle > 0
	}
	return expired || l.idle >= idleSweeps
}

// share is n·part/whole, rounded down, or as much as there are numbers for. No number
// is negative.
func share(n, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	if hi >= uint64(whole) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(min(q, math.MaxInt64))
}

// satAdd is a+b, or the largest number: neither is negative.
func satAdd(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
