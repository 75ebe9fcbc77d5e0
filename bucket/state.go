package bucket

import "cmp"

// State is what is remembered of one key under one limit. What its fields mean
// is the algorithm's affair, but for one thing that all have in common: the
// moment from which the state says nothing any more, because the limit is whole.
// The zero State is that of a limit nobody has touched.
type State struct {
	at  int64  // whole from then on, or just after it if val isn't 0
	val uint64 // what else is counted
	seq uint32 // the number of the window, where there are windows
}

// full reports whether the state says nothing any more.
func (s State) full(now int64) bool {
	return s.at < now || s.at == now && s.val == 0
}

// later orders states by at and then val.
func (s State) later(t State) bool {
	return cmp.Or(cmp.Compare(s.at, t.at), cmp.Compare(s.val, t.val)) > 0
}

// moment is a time: now on the store's monotonic clock, and what a clock on the
// wall would show, in nanoseconds since the Unix epoch. Only windows that are
// aligned look at the wall.
type moment struct{ now, wall int64 }

// Merge returns what two copies of a state that were made under the same limit
// know together, forgetting nothing that either has counted. It is commutative,
// associative and idempotent, so copies may meet in any order and any number of
// times.
func (a Algorithm) Merge(s, t State) State {
	switch a {
	case FixedWindow, SlidingLog:
		return mergeFixed(s, t)
	case SlidingWindow:
		return mergeSliding(s, t)
	}
	if t.later(s) {
		return t
	}
	return s
}

// take takes n tokens from the state s at the moment m, if they are there. wait
// is 0 then; or else how long until they can be, Never if they can't, and next
// is of no use.
func (t *term) take(s State, n uint64, m moment) (next State, wait int64) {
	if t.numbers.burst == 0 || n > uint64(t.numbers.burst) {
		return s, int64(Never)
	}
	switch t.algorithm {
	case FixedWindow:
		return t.window.takeFixed(s, n, m)
	case SlidingWindow:
		return t.window.takeSliding(s, n, m)
	case SlidingLog:
		return t.window.takeLog(s, n, m.now)
	}
	return t.gcra.take(s, n, m.now)
}

// left returns the number of whole tokens in s, and the time until all are back.
func (t *term) left(s State, now int64) (remaining, reset int64) {
	switch t.algorithm {
	case FixedWindow, SlidingLog:
		return t.window.leftFixed(s, now)
	case SlidingWindow:
		return t.window.leftSliding(s, now)
	}
	return t.gcra.left(s, now)
}

// delay is how long a request that finds the state s has to wait for its turn.
func (t *term) delay(s State, now int64) int64 {
	if t.algorithm != LeakyBucket {
		return 0
	}
	return t.gcra.debt(s, now).ceil()
}

// used returns the number of tokens taken that still count, rounded up. It may be
// more than the limit's capacity where that has been lowered.
func (t *term) used(s State, now int64) int64 {
	switch {
	case s.full(now):
		return 0
	case t.algorithm == FixedWindow || t.algorithm == SlidingLog:
		return int64(s.val)
	case t.algorithm == SlidingWindow:
		p, _ := t.window.pair(s, now)
		whole, part := t.window.weigh(p)
		if part {
			whole++
		}
		return int64(whole)
	}
	return t.gcra.used(t.gcra.debt(s, now))
}
