// Package exact checks that a limit was kept: whether more was admitted, by all replicas
// together, than burst + rate · t in some interval of length t.
//
// Every interval is looked at, in constant time and memory for each admission. That is
// the generic cell rate algorithm once more, turned into a witness: an interval that
// begins with some admission is the worst there is, and a meter keeps where that
// began and how many have passed since.
//
// What is known of an admission is when its request was asked and when it was answered;
// it happened in between. An interval counts only those that were asked and answered
// within it, so the checker never accuses anybody wrongly, however late an answer comes.
// What it can miss is as much as comes back during the time that an answer takes.
package exact

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Bound is the most that may pass: Burst at once, and then Count per Per.
type Bound struct {
	Count int64
	Per   time.Duration
	Burst int64
}

// BoundOf returns the tightest bound of this form that a limit promises: that of a token
// bucket or a log is the limit itself, and around the end of a window twice the count can
// pass. The error says that the limit isn't about a rate, or has windows whose length
// the calendar decides.
func BoundOf(l bucket.Limit) (Bound, error) {
	b := Bound{l.Count, l.Per, l.Burst}
	if b.Burst == 0 {
		b.Burst = l.Count
	}
	switch {
	case l.Algorithm == bucket.Concurrent:
		return Bound{}, fmt.Errorf("%v limits what runs at a time, which can't be told from what is admitted", l)
	case l.Calendar:
		return Bound{}, fmt.Errorf("%v has windows of different lengths; try one without calendar", l)
	case l.Algorithm == bucket.FixedWindow, l.Algorithm == bucket.SlidingWindow:
		b.Burst = 2 * l.Count
	}
	return b, nil
}

// Meter is what is known of a key. The zero value is that of a key that nobody has used.
type Meter struct {
	from   int64 // when the first of those in the worst interval was asked
	passed int64 // how many were since
	latest int64 // answer
}

// Admit notes an admission, from when it was asked to when it was answered, in
// nanoseconds of any clock. It reports whether it is over: there is an interval in which
// more has passed than may have. One that is over is left out from then on, so that each
// counts once.
func (m *Meter) Admit(b Bound, asked, answered int64) (over bool) {
	next := *m
	next.latest = max(m.latest, answered)
	switch {
	case m.passed == 0 || asked > m.from && b.refills(asked-m.from, m.passed):
		next.from, next.passed = asked, 1
	case asked >= m.from:
		next.passed++
	case !b.refills(m.from-asked, 1): // the longer interval is the worse one
		next.from = asked
		next.passed++
	}
	if b.exceeded(next.latest-next.from, next.passed) {
		m.latest = next.latest
		return true
	}
	*m = next
	return false
}

// refills reports whether that many come back within a time.
func (b Bound) refills(t, tokens int64) bool {
	hi, lo := bits.Mul64(uint64(t), uint64(b.Count))
	wantHi, want := bits.Mul64(uint64(tokens), uint64(b.Per))
	return hi > wantHi || hi == wantHi && lo >= want
}

// exceeded reports whether tokens are more than Burst and what comes back within t.
func (b Bound) exceeded(t, tokens int64) bool {
	return tokens > b.Burst && !b.refills(t, tokens-b.Burst)
}
