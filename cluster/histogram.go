package cluster

import (
	"slices"
	"sync/atomic"
	"time"
)

// Histogram says how often what was measured lay where. Its unit is that of the
// field which has it.
type Histogram struct {
	// Bounds are the upper bounds, inclusive and rising; Counts has how many lay above
	// the bound before and not above this one, and one more for those above the last.
	Bounds, Counts []int64
	// Sum is that of all that was measured.
	Sum int64
}

// Count is how many were measured.
func (h Histogram) Count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// waits are the bounds of how long a decision takes: half of them below the usual
// deadline of 50 ms.
var waits = [...]int64{
	int64(100 * time.Microsecond), int64(200 * time.Microsecond), int64(500 * time.Microsecond),
	int64(time.Millisecond), int64(2 * time.Millisecond), int64(5 * time.Millisecond),
	int64(10 * time.Millisecond), int64(20 * time.Millisecond), int64(50 * time.Millisecond),
	int64(100 * time.Millisecond), int64(time.Second), int64(10 * time.Second),
}

// waiting counts durations in nanoseconds.
type waiting struct {
	counts [len(waits) + 1]atomic.Int64
	sum    atomic.Int64
}

func (w *waiting) observe(d int64) {
	i := 0
	for i < len(waits) && d > waits[i] {
		i++
	}
	w.counts[i].Add(1)
	w.sum.Add(d)
}

func (w *waiting) histogram() Histogram {
	h := Histogram{Bounds: slices.Clone(waits[:]), Counts: make([]int64, len(w.counts)), Sum: w.sum.Load()}
	for i := range w.counts {
		h.Counts[i] = w.counts[i].Load()
	}
	return h
}
