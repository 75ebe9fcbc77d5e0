package bucket

import (
	"math"
	"time"
)

// window is a limit's numbers for the algorithms that count in windows.
type window struct {
	count   uint64
	per     int64
	aligned bool
	zone    *time.Location // of the calendar, where windows follow one
}

// FixedWindow's state: at is the last nanosecond of the window, val what was
// taken in it, seq its number.
//
// A window is half-open: a hit at the very end of one is the first of the next.
// It begins with its first hit, or, aligned, at a multiple of its length since
// the Unix epoch, or as the calendar says. Its number, not its time, is its identity, so that copies of a
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
	if w.zone != nil {
		return w.openCalendar(m)
	}
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

// mergeFixed keeps the newer window; of two copies of one, the larger count. It
// ends when the last of all copies says: clocks on walls differ, and where one is
// behind, its window is the older and yet ends later.
func mergeFixed(s, t State) State {
	at := max(s.at, t.at)
	switch {
	case s.seq > t.seq:
		return State{at, s.val, s.seq}
	case s.seq < t.seq:
		return State{at, t.val, t.seq}
	}
	return State{at, max(s.val, t.val), s.seq}
}

// resize is the state s of a window like from in one of this kind. What was
// counted stays, for a whole window from its beginning if that is longer, or else
// until the window would have ended or a whole new one has passed.
func (w *window) resize(s State, from *window, windows int64, m moment) State {
	if s.full(m.now) {
		return s
	}
	at := s.at
	if w.per < from.per {
		s.at = min(at, satAdd(m.now, windows*w.per-1))
	} else {
		s.at = max(at, satAdd(at+1-windows*from.shortest(), windows*w.per-1))
	}
	if windows == 1 && (w.aligned || w.zone != nil) { // numbers that others know
		current := w.open(s, m)
		s.seq = current.seq
		if w.zone != nil && w.per >= from.per {
			s.at = max(at, current.at)
		}
	}
	return s
}

func satAdd(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}
