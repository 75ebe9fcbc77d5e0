package bucket

import "math"

// window is a limit's numbers for the algorithms that count in windows.
type window struct {
	count   uint64
	per     int64
	aligned bool
}

// FixedWindow's state: at is the last nanosecond of the window, val what was
// taken in it, seq its number.
//
// A window is half-open: a hit at the very end of one is the first of the next.
// It begins with its first hit, or, aligned, at a multiple of its length since
// the Unix epoch. Its number, not its time, is its identity, so that copies of a
// state that were measured by different clocks merge exactly.

func (w *window) takeFixed(s State, n uint64, m moment) (next State, wait int64) {
	if s.full(m.now) {
		s = w.open(s, m)
	}
	if n > w.count-min(s.val, w.count) {
		return s, s.at + 1 - m.now
	}
	s.val += n
	return s, 0
}

// open is an empty window that contains m and follows s.
func (w *window) open(s State, m moment) State {
	if !w.aligned {
		return State{at: satAdd(m.now, w.per-1), seq: s.seq + 1}
	}
	into := m.wall % w.per // how far m is into its window
	if into < 0 {
		into += w.per
	}
	return State{at: satAdd(m.now, w.per-1-into), seq: uint32((m.wall - into) / w.per)}
}

func (w *window) leftFixed(s State, now int64) (remaining, reset int64) {
	if s.full(now) || s.val == 0 {
		return int64(w.count), 0
	}
	return int64(w.count - min(s.val, w.count)), s.at + 1 - now
}

// mergeFixed keeps the newer window; of two copies of one, the larger count.
func mergeFixed(s, t State) State {
	switch {
	case s.seq > t.seq:
		return s
	case s.seq < t.seq:
		return t
	}
	return State{at: max(s.at, t.at), val: max(s.val, t.val), seq: s.seq}
}

// resize is the state s of a window of length from in one of this length. What
// was counted stays, for a whole window from its beginning if that is longer,
// or else until the window would have ended or a whole new one has passed.
func (w *window) resize(s State, from *window, windows, now int64) State {
	if s.full(now) || w.per == from.per {
		return s
	}
	start := s.at + 1 - windows*from.per
	end := satAdd(start, windows*w.per-1)
	if w.per < from.per {
		end = min(s.at, satAdd(now, windows*w.per-1))
	}
	s.at = end
	return s
}

func satAdd(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}
