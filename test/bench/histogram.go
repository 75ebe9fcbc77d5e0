package main

import (
	"math/bits"
	"time"
)

const (
	// fineBits: latencies are counted in ranges that are 1/32 of their value
	// wide, so a quantile is at most 3 % off and, within a range of many, less.
	fineBits = 5
	fine     = 1 << fineBits
	octaves  = 32 // up to 2 minutes
	ranges   = fine * (octaves + 1)
)

// latencies counts durations by their length.
type latencies struct {
	count [ranges]uint32
}

func (l *latencies) add(d time.Duration) {
	l.count[place(uint64(max(d, 0)))]++
}

// place is the range that ns belongs to: its octave and the bits that follow
// the first one.
func place(ns uint64) int {
	if ns < fine {
		return int(ns)
	}
	octave := bits.Len64(ns) - 1 - fineBits
	return min((octave+1)*fine+int(ns>>octave)-fine, ranges-1)
}

// least is the first duration of a range, in nanoseconds.
func least(place int) float64 {
	if place < fine {
		return float64(place)
	}
	octave := place/fine - 1
	return float64(uint64(place%fine+fine) << octave)
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.count {
		l.count[i] += n
	}
}

func (l *latencies) total() (n int64) {
	for _, c := range l.count {
		n += int64(c)
	}
	return n
}

// quantile returns the duration that a share q of them do not exceed, in
// microseconds. Those of one range count as evenly spread.
func (l *latencies) quantile(q float64) float64 {
	rank := q * float64(l.total())
	for i, c := range l.count {
		n := float64(c)
		if n > 0 && rank <= n {
			return (least(i) + (least(i+1)-least(i))*rank/n) / 1000
		}
		rank -= n
	}
	return 0
}
