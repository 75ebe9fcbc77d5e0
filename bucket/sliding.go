package bucket

import "math/bits"

// SlidingWindow's state: two counters, of the window that now is in and of the
// one before. at is the last nanosecond at which the former still counts, which
// is the end of the window after it; val holds the counts of both, seq is the
// number of the window.
//
// What counts is the current window and the share of the one before that a
// window ending now would still cover: before·(per - into)/per + current, in whole
// tokens. It is the sliding window of Cloudflare's (2017) and of many others since,
// computed in integers. What is left of a token that is partly gone doesn't count,
// or else a client that comes at exactly the limit's rate would be refused, and a
// limit of 1 would admit one in two windows.

// maxSliding bounds a SlidingWindow's Count: two counters share 64 bits.
const maxSliding = 1<<32 - 1

// pair is the state at a given moment.
type pair struct {
	before, current uint64
	into            int64 // since the current window began, below per
	seq             uint32
}

// pair moves the state on to the window that contains now; began is false where
// there is none yet.
func (w *window) pair(s State, now int64) (p pair, began bool) {
	if s.full(now) {
		return pair{}, false
	}
	p = pair{before: s.val >> 32, current: s.val & maxSliding, into: now - (s.at + 1 - 2*w.per), seq: s.seq}
	if p.into >= w.per {
		p = pair{before: p.current, into: p.into - w.per, seq: p.seq + 1}
	}
	p.into = max(p.into, 0) // a copy's window may begin a moment from now
	return p, true
}

func (w *window) state(p pair, now int64) State {
	return State{at: satAdd(now-p.into, 2*w.per-1), val: p.before<<32 | p.current, seq: p.seq}
}

func (w *window) takeSliding(s State, n uint64, m moment) (next State, wait int64) {
	p, began := w.pair(s, m.now)
	if !began {
		first := w.open(s, m)
		p = pair{into: m.now - (first.at + 1 - w.per), seq: first.seq}
	}
	if wait = w.fits(p, n); wait > 0 {
		return s, wait
	}
	p.current += n
	return w.state(p, m.now), 0
}

// fits returns how long n tokens have to wait: 0 if they fit now. n is at most
// the count, so they fit at last when both windows have passed.
func (w *window) fits(p pair, n uint64) int64 {
	if p.current+n > w.count { // not before the next window, in which p.current is the former
		return w.per - p.into + w.weighing(p.current, w.count-n)
	}
	return max(0, w.weighing(p.before, w.count-n-p.current)-p.into)
}

// weighing is how far into a window one must be for the weight of the former, which
// counted n, to be at most room in whole tokens: the least e with
// n·(per-e) < (room+1)·per.
func (w *window) weighing(n, room uint64) int64 {
	if n <= room {
		return 0
	}
	hi, lo := bits.Mul64(room+1, uint64(w.per))
	covered, rest := bits.Div64(hi, lo, n) // hi < n, as room < n and per < 2^63
	if rest > 0 {
		covered++
	}
	return w.per - int64(covered) + 1
}

func (w *window) leftSliding(s State, now int64) (remaining, reset int64) {
	p, began := w.pair(s, now)
	if !began {
		return int64(w.count), 0
	}
	reset = max(0, w.weighing(p.before, 0)-p.into)
	if p.current > 0 {
		reset = w.per - p.into + w.weighing(p.current, 0)
	}
	whole, _ := w.weigh(p)
	return int64(w.count - min(whole, w.count)), reset
}

// weigh is the number of tokens that count; part says that some of one more is left.
func (w *window) weigh(p pair) (whole uint64, part bool) {
	hi, lo := bits.Mul64(p.before, uint64(w.per-p.into))
	weight, rest := bits.Div64(hi, lo, uint64(w.per)) // before < 2^32, so hi < per
	return weight + p.current, rest > 0
}

// mergeSliding takes the larger of each window's counts, in the two windows that
// the newer copy knows.
func mergeSliding(s, t State) State {
	if s.seq < t.seq {
		s, t = t, s
	}
	switch s.seq - t.seq {
	case 0:
		s.at = max(s.at, t.at)
		s.val = max(s.val>>32, t.val>>32)<<32 | max(s.val&maxSliding, t.val&maxSliding)
	case 1:
		s.val = max(s.val>>32, t.val&maxSliding)<<32 | s.val&maxSliding
	}
	return s
}
