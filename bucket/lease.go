package bucket

import (
	"cmp"
	"math"
	"slices"
)

// lease is what is lent of one key. Tokens are debited when they are lent, and
// while they are out the key's capacity is lower by as many. So whatever those who
// hold them do, at most burst + rate·t pass in any interval of length t: of the
// tokens here and those out there are never more than burst, and they become more
// no faster than rate.
//
// A lowered capacity is a floor under the state: see term.floor. When a lease ends
// its tokens are gone, spent or not: capacity comes back at once, but what wasn't
// spent is refilled like anything else.
type lease struct {
	digest  Digest
	terms   []term // the limits of the latest ask
	out     int64  // what the holders have left, as far as is known
	next    int64  // when the first of them ends
	holders []holder
}

// holder is one replica's part in a lease.
type holder struct {
	peer    uint64
	own     bool   // it is the owner itself
	since   int64  // the value of held when it was made
	seq     uint64 // of its latest ask
	left    int64  // the tokens that it can spend at most
	wants   int64  // its demand, of the latest ask: what it had and would have liked on top
	expires int64
	granted int64 // when it was last granted anything
}

// floor is the state s, or the nearest to it in which out tokens are debited and
// not refilled: GCRA's theoretical arrival time is no earlier than what they cost
// from now; a window that opens while they are out has them counted, as they may be
// spent in it. Raised to the floor before out falls, a state has no more room than
// what was refilled on top of the tokens that were out until then.
func (t *term) floor(s State, out int64, m moment) State {
	switch {
	case out == 0 || t.numbers.burst == 0:
		return s
	case t.algorithm == FixedWindow:
		if s.full(m.now) {
			s = t.window.open(s, m)
		}
		s.val = max(s.val, uint64(out))
		return s
	case t.windowed():
		return s // it doesn't lend, but may have taken the place of one that did
	}
	d := t.gcra.cost(uint64(out))
	if d.longer(t.gcra.whole) { // the limit has been lowered
		d = t.gcra.whole
	}
	if raised := t.gcra.owing(d, m.now); raised.later(s) {
		return raised
	}
	return s
}

// credit is the state s, at the floor or above, after so many lent tokens came back.
func (t *term) credit(s State, tokens, now int64) State {
	if t.algorithm == FixedWindow {
		s.val -= min(s.val, uint64(tokens))
		return s
	}
	return t.refundBucket(s, t.gcra.cost(uint64(tokens)), now)
}

// sort orders the holders by when their leases end.
func (l *lease) sort() {
	slices.SortFunc(l.holders, func(a, b holder) int { return cmp.Compare(a.expires, b.expires) })
}

// schedule sets next.
func (l *lease) schedule() {
	l.next = math.MaxInt64
	for i := range l.holders {
		l.next = min(l.next, l.holders[i].expires)
	}
}

// rest is for how long tokens may still be spent.
func (l *lease) rest(now int64) (rest int64) {
	for i := range l.holders {
		if h := &l.holders[i]; h.left > 0 {
			rest = max(rest, h.expires-now)
		}
	}
	return rest
}

// elsewhere reports whether others than the owner hold a lease.
func (l *lease) elsewhere() bool {
	return slices.ContainsFunc(l.holders, func(h holder) bool { return !h.own })
}

// find returns the place of a peer among the holders, or -1. One that was made
// before the state left this store, and came back, is nobody's: its tokens may have
// been given back elsewhere.
func (l *lease) find(peer uint64, since int64) int {
	return slices.IndexFunc(l.holders, func(h holder) bool { return h.peer == peer && h.since == since })
}

// hear takes down what holder i says it keeps and gives back: of no more than it
// was known to have, so nothing comes back twice, nor after the lease has ended.
// The rest is spent.
func (l *lease) hear(i int, a *Ask) (kept, back int64) {
	h := &l.holders[i]
	kept = min(a.Have, h.left)
	back = min(a.Back, h.left-kept)
	l.out -= h.left - kept
	h.seq, h.left, h.wants = a.Seq, kept, min(a.Have, maxWant)+min(a.Want, maxWant)
	return kept, back
}

// until is how long n tokens have to wait for which there is no room in the state s,
// which is at the floor, if the leases end one after the other and nothing else
// happens.
func (l *lease) until(t *term, s State, n uint64, m moment) int64 {
	at, out := m, l.out
	for int64(n) > t.numbers.burst-out {
		next, ending := l.nextEnd(at.now)
		if ending == 0 {
			break
		}
		at = moment{next, satAdd(at.wall, next-at.now)}
		s = t.floor(s, out, at)
		out -= ending
	}
	_, wait := t.take(t.floor(s, out, at), n, at)
	return satAdd(at.now-m.now, wait)
}

// nextEnd is when tokens come to an end next, after now, and how many.
func (l *lease) nextEnd(now int64) (next, ending int64) {
	next = math.MaxInt64
	for i := range l.holders {
		switch h := &l.holders[i]; {
		case h.left == 0 || h.expires <= now || h.expires > next:
		case h.expires == next:
			ending += h.left
		default:
			next, ending = h.expires, h.left
		}
	}
	return next, ending
}
