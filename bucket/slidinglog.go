package bucket

import "math/bits"

// SlidingLog's state: at is the last nanosecond at which the newest token still
// counts, val how many do. That is enough for all but one question, which needs
// the log itself: how long until some of them are free again. Without its log a
// state is that of tokens which were all taken at once, the newest's time.

// maxLog bounds a SlidingLog's Count.
const maxLog = 1024

// log is the times of the tokens that were taken, oldest first, one for each: n
// of them from head on in a ring whose size is a power of two. The zero log is
// empty.
type log struct {
	ring    []int64
	head, n int
}

// at is the time of token i, the oldest being 0.
func (l *log) at(i int) int64 { return l.ring[(l.head+i)&(len(l.ring)-1)] }

// expire forgets the tokens that don't count any more: a token taken at t counts
// to the last nanosecond before t+per.
func (l *log) expire(per, now int64) {
	gone, rest := 0, l.n // the first of rest that still counts is at gone or later
	for rest > 0 {
		if half := rest / 2; l.at(gone+half)+per <= now {
			gone, rest = gone+half+1, rest-half-1
		} else {
			rest = half
		}
	}
	l.head, l.n = l.head+gone, l.n-gone
}

// add notes n tokens taken at now, or with the newest if that is later: times are
// in order. There must be room.
func (l *log) add(n int, now int64) {
	if l.n > 0 {
		now = max(now, l.at(l.n-1))
	}
	for i := range n {
		l.ring[(l.head+l.n+i)&(len(l.ring)-1)] = now
	}
	l.n += n
}

// logState is what the log says at now, after it has expired.
func (w *window) logState(l *log) State {
	if l.n == 0 {
		return State{}
	}
	return State{at: satAdd(l.at(l.n-1), w.per-1), val: uint64(l.n)}
}

// takeLog decides by the state alone: whether it fits is exact.
func (w *window) takeLog(s State, n uint64, now int64) (next State, wait int64) {
	if s.full(now) {
		s = State{}
	}
	if s.val+n > w.count {
		return s, s.at + 1 - now
	}
	if n == 0 {
		return s, 0
	}
	return State{at: max(s.at, satAdd(now, w.per-1)), val: s.val + n}, 0
}

// until is how long n tokens, which don't fit, have to wait: until so many are
// free again. The log may hold more than the count, from before it was lowered, or
// a token less than the state, which was taken just now.
func (w *window) until(a *account, n uint64, now int64) int64 {
	oldest := a.log.at(int(a.state.val) + int(n) - int(w.count) - 1)
	return stretched(oldest, a.kept, w.per, now) + w.per - now
}

// stretch makes a log that was kept for from one for per. A token counts as long
// as the longer of the two says, from when it was taken; where they have become
// shorter, until it would have been free or a whole new one has passed.
func (l *log) stretch(from, per, now int64) {
	if per >= from {
		return
	}
	for i := range l.n {
		t := &l.ring[(l.head+i)&(len(l.ring)-1)]
		*t = stretched(*t, from, per, now)
	}
}

func stretched(t, from, per, now int64) int64 {
	if per >= from {
		return t
	}
	return min(t+from-per, max(t, now))
}

// remove forgets up to n tokens that were taken at the given time, and returns how
// many.
func (l *log) remove(n int, time int64) (removed int) {
	for i := range l.n {
		t := l.at(i)
		if t == time && removed < n {
			removed++
			continue
		}
		l.ring[(l.head+i-removed)&(len(l.ring)-1)] = t
	}
	l.n -= removed
	return removed
}

// covers reports whether the log knows all that another does.
func (l *log) covers(other *log) bool {
	if l.n < other.n {
		return false
	}
	for i := range other.n {
		if l.at(l.n-other.n+i) < other.at(i) {
			return false
		}
	}
	return true
}

// absorb makes the log what both know together: element by element, newest first,
// the later time. So of every span that ends now it has as many tokens as that
// copy which has more. There must be room.
func (l *log) absorb(other *log) {
	for l.n < other.n { // older ones than it has
		l.head, l.n = (l.head-1)&(len(l.ring)-1), l.n+1
		l.ring[l.head] = other.at(other.n - l.n)
	}
	for i := range other.n {
		t := &l.ring[(l.head+l.n-other.n+i)&(len(l.ring)-1)]
		*t = max(*t, other.at(i))
	}
}

// ceilPower is the smallest power of two that is at least n.
func ceilPower(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }
