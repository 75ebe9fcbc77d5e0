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
		if err := p.enqueue(asking(hit(i), math.MaxInt64)); err != nil {
			b.Fatal(err)
		}
	}
	var calls Calls
	h := hit(maxQueue)
	b.ReportAllocs()
	for b.Loop() {
		c := calls.Get()
		c.Hit = h
		err := p.Ask(c, 1)
		calls.Put(c)
		if !errors.Is(err, ErrFull) {
			b.Fatal(err)
		}
	}
}
