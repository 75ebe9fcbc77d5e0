package dashboard

import (
	"fmt"
	"slices"
	"time"
)

// watch notices what becomes of the partitions and of what was begun. It belongs to the
// goroutine that looks, but for expect.
type watch struct {
	wheels []wheel // as last seen
	before []wheel // when they were last settled
	since  time.Duration
	moving bool

	pending chan expectation
	waiting []expectation
}

// expectation is something that was begun and should come to an end.
type expectation struct {
	kind  string
	began time.Duration
	done  func(sight) bool
	text  string // what to say then, with the time that it took
}

// remark is an event without its time.
type remark struct{ kind, text string }

// maxExpectations is how many may be open at a time; more are not followed.
const maxExpectations = 64

// giveUp is when an expectation is no longer followed.
const giveUp = time.Minute

func newWatch() *watch { return &watch{pending: make(chan expectation, maxExpectations)} }

// expect has the watch say when something has come about.
func (w *watch) expect(e expectation) {
	select {
	case w.pending <- e:
	default:
	}
}

// turn reports whether the wheels have changed.
func (w *watch) turn(wheels []wheel) bool {
	if slices.Equal(w.wheels, wheels) {
		return false
	}
	w.wheels = wheels
	return true
}

// step compares what is seen with what was, and returns what is worth a line.
func (w *watch) step(s sight, now time.Duration) (remarks []remark) {
	settled := s.settled()
	switch {
	case w.before == nil && !settled:
	case settled && w.before == nil:
		w.before = s.wheels
	case settled:
		if n := moved(w.before, s.wheels); n > 0 {
			took := now - w.since
			if !w.moving {
				took = lookInterval // it was over between two looks
			}
			remarks = append(remarks, remark{"handoff", fmt.Sprintf("hand-off of %s took %s", partitions(n), short(took))})
		}
		w.before, w.moving = s.wheels, false
	case !w.moving:
		w.moving, w.since = true, now-lookInterval
	}
	return append(remarks, w.fulfilled(s, now)...)
}

// fulfilled says what has come about.
func (w *watch) fulfilled(s sight, now time.Duration) (remarks []remark) {
	for len(w.pending) > 0 {
		w.waiting = append(w.waiting, <-w.pending)
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(e expectation) bool {
		if e.done(s) {
			remarks = append(remarks, remark{e.kind, fmt.Sprintf("%s after %s", e.text, short(now-e.began))})
			return true
		}
		return now-e.began > giveUp
	})
	return remarks
}

// moved is how many partitions have changed hands, on all sides together. A side that
// was not there before began with what the whole had.
func moved(before, after []wheel) (n int) {
	for i := range after {
		n += after[i].differs(&before[min(i, len(before)-1)])
	}
	return n
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// short is a time for people.
func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(d, lookInterval).Round(10*time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
