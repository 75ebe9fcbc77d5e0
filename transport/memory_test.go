package transport

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// note is a record that is told from others.
func note(n uint64) []byte {
	b := make([]byte, verdictBytes)
	binary.BigEndian.PutUint64(b[verdictBytes-8:], n)
	return b
}

// The memory is a map from numbers to records that forgets a number when a later
// one takes its place.
func TestMemory(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(20, seed))
		var m memory
		all := map[uint64]uint64{}  // number: record
		last := map[uint64]uint64{} // place: number
		at := uint64(rng.IntN(10_000))
		for range 20_000 {
			at += uint64(rng.IntN(3))
			number := max(at-min(at, uint64(rng.IntN(2*memorySize))), 1)
			record := note(0)
			known := m.recall(number, record)
			want := unheard
			switch place := last[number%memorySize]; {
			case place == number:
				want = decided
			case place > number:
				want = forgotten
			}
			if known != want || known == decided && !bytes.Equal(record, note(all[number])) || known != decided && !bytes.Equal(record, note(0)) {
				t.Fatalf("seed %d: number %d is %d, %x, want %d, record %d", seed, number, known, record, want, all[number])
			}
			if known == unheard && rng.IntN(10) > 0 {
				all[number], last[number%memorySize] = rng.Uint64(), number
				m.remember(number, note(all[number]))
			}
		}
	}
}

// Fewer hits can be unanswered than are remembered, so each that may come again is
// remembered whatever came after it.
func TestMemoryHoldsAStream(t *testing.T) {
	if quota/hitBytes >= memorySize {
		t.Fatalf("%d hits can be unanswered, and %d are remembered", quota/hitBytes, memorySize)
	}
	for _, first := range []uint64{1, 2047, 2048, 1 << 40, math.MaxUint64 - memorySize} {
		var m memory
		for n := range uint64(memorySize) {
			m.remember(first+n, note(n))
		}
		for n := range uint64(memorySize) {
			if record := note(0); m.recall(first+n, record) != decided || !bytes.Equal(record, note(n)) {
				t.Fatalf("hit %d from %d is not remembered", n, first)
			}
		}
	}
}

// Number 0 is no hit's: it is never remembered, so never mistaken for another.
func TestNumberNone(t *testing.T) {
	var m memory
	record := note(0)
	m.remember(0, note(1))
	m.remember(memorySize, note(2))
	if known := m.recall(0, record); known != unheard || !bytes.Equal(record, note(0)) {
		t.Errorf("number 0 is %d, %x", known, record)
	}
}

// A sender that has asked little takes little.
func TestMemoryIsMadeWhenItIsUsed(t *testing.T) {
	var m memory
	if size := unsafe.Sizeof(sender{}); size > 512 {
		t.Errorf("a sender that asks nothing takes %d bytes", size)
	}
	if size := unsafe.Sizeof(page{}); size != pageSize*(8+verdictBytes) {
		t.Errorf("a page takes %d bytes", size)
	}
	pages := func() (n int) {
		for _, p := range m.pages {
			if p != nil {
				n++
			}
		}
		return n
	}
	for n := range uint64(pageSize) {
		m.remember(memorySize+n, note(n))
		m.recall(n*pageSize+1, note(0))
	}
	if n := pages(); n != 1 {
		t.Errorf("%d pages after %d hits", n, pageSize)
	}
	for n := range uint64(10 * memorySize) {
		m.remember(n+1, note(n))
	}
	if n := pages(); n != memorySize/pageSize {
		t.Errorf("%d pages at most", n)
	}
}
