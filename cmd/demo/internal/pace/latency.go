package pace

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// grain is how many buckets there are between a power of two and the next: a quantile
// is right to 1/32.
const grain = 32

// Latency is a histogram of times from a nanosecond to hours. The zero value is empty.
// It is safe for concurrent use.
type Latency struct {
	counts [64 * grain]atomic.Int64
	n      atomic.Int64
	max    atomic.Int64
}

// Add notes a time.
func (l *Latency) Add(d time.Duration) {
	ns := max(int64(d), 0)
	l.counts[slot(uint64(ns))].Add(1)
	l.n.Add(1)
	for {
		old := l.max.Load()
		if ns <= old || l.max.CompareAndSwap(old, ns) {
			return
		}
	}
}

// slot is the bucket of a number: small ones have one of their own.
func slot(ns uint64) int {
	if ns < grain {
		return int(ns)
	}
	shift := bits.Len64(ns) - 6 // leaves 32 to 63
	return (shift+1)*grain + int(ns>>shift) - grain
}

// upper is the largest number of a bucket.
func upper(slot int) uint64 {
	if slot < grain {
		return uint64(slot)
	}
	shift := slot/grain - 1
	return (uint64(slot%grain+grain)+1)<<shift - 1
}

// Quantile is a time that at least that many of a thousand did not exceed; 0 if there
// are none.
func (l *Latency) Quantile(permille int64) time.Duration {
	n := l.n.Load()
	rank := (n*permille + 999) / 1000
	seen := int64(0)
	for i := range l.counts {
		if seen += l.counts[i].Load(); seen >= rank && seen > 0 {
			return time.Duration(min(upper(i), uint64(l.max.Load())))
		}
	}
	return time.Duration(l.max.Load())
}

// Max is the longest time, and N how many there are.
func (l *Latency) Max() time.Duration { return time.Duration(l.max.Load()) }

// N is how many times have been noted.
func (l *Latency) N() int64 { return l.n.Load() }
