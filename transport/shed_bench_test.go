package transport

import (
	"errors"
	"math"
	"testing"
)

// BenchmarkShed is a hit for which there is no room in the queue: what it costs beyond
// the failure policy that decides it then. To be held against BenchmarkAsk with 64
// callers, where a decision should cost ten times as much.
func BenchmarkShed(b *testing.B) {
	p := newPeer(PeerConfig{Now: func() int64 { return 0 }})
	for i := range maxQueue {
		h := hit(i)
		if err := p.enqueue(p.calls.get(&h, math.MaxInt64)); err != nil {
			b.Fatal(err)
		}
	}
	h := hit(maxQueue)
	var a Answer
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Ask(&h, 1, &a); !errors.Is(err, ErrFull) {
			b.Fatal(err)
		}
	}
}
