package transport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// note is a record that is told from others.
func note(n uint64) []byte {
	b := make([]byte, verdictBytes)
	binary.BigEndian.PutUint64(b[verdictBytes-8:], n)
	return b
}

// span is the numbers of an entry, and what was answered to it.
type span struct{ first, count, noted uint64 }

func (s span) is(e *memorized) bool {
	return e != nil && e.first == s.first && uint64(e.count) == s.count && string(e.record[:]) == string(note(s.noted)) && string(e.fields) == string(note(s.noted)[:s.noted%verdictBytes])
}

// The memory is a list of entries in the order of their numbers, which forgets the
// oldest when there are too many. Whatever is asked about overlaps none of them, lies
// in one, or is forgotten.
func TestMemory(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(20, seed))
		var m memory
		var all []span
		at := uint64(rng.IntN(10_000))
		for n := range uint64(12_000) {
			at += uint64(rng.IntN(30))
			s := span{first: max(at-min(at, uint64(rng.IntN(1000)*rng.IntN(2))), 1), count: 1 + uint64(rng.IntN(3)*rng.IntN(20)), noted: n}
			if n%100 == 0 {
				s.first = max(at-min(at, uint64(rng.IntN(100*memorySize))), 1)
			}
			want, found := unheard, span{}
			if len(all) == memorySize && s.first < all[0].first {
				want = forgotten
			}
			for _, e := range all {
				switch {
				case s.first >= e.first+e.count || e.first >= s.first+s.count:
				case s.first >= e.first && s.first+s.count <= e.first+e.count:
					want, found = decided, e
				default:
					want = forgotten
				}
			}
			e, known := m.recall(s.first, int(s.count))
			if known != want || known == decided && !found.is(e) {
				t.Fatalf("seed %d: %+v is %d, %+v; want %d, %+v", seed, s, known, e, want, found)
			}
			if known == unheard && rng.IntN(10) > 0 {
				m.remember(s.first, int(s.count), note(n), note(n)[:n%verdictBytes])
				i, _ := slices.BinarySearchFunc(all, s, func(a, b span) int { return int(int64(a.first - b.first)) })
				if all = slices.Insert(all, i, s); len(all) > memorySize {
					all = all[1:]
				}
			}
		}
	}
}

// Fewer entries can be unanswered than are remembered, so each that may come again is
// remembered whatever came after it, and however many hits they stand for.
func TestMemoryHoldsAStream(t *testing.T) {
	if quota/hitBytes >= memorySize {
		t.Fatalf("%d entries can be unanswered, and %d are remembered", quota/hitBytes, memorySize)
	}
	for _, first := range []uint64{1, 2047, 2048, 1 << 40, math.MaxUint64 - memorySize<<20} {
		var m memory
		for n := range uint64(memorySize) {
			m.remember(first+n<<20, 1<<20, note(n), nil)
		}
		for n := range uint64(memorySize) {
			if e, known := m.recall(first+n<<20, 1<<20); known != decided || string(e.record[:]) != string(note(n)) {
				t.Fatalf("entry %d from %d is not remembered", n, first)
			}
		}
	}
}

// Number 0 is no hit's: it is never remembered, so never mistaken for another.
func TestNumberNone(t *testing.T) {
	var m memory
	m.remember(0, 1, note(1), nil)
	m.remember(memorySize, 1, note(2), nil)
	if e, known := m.recall(0, 1); known != unheard || e != nil {
		t.Errorf("number 0 is %d, %+v", known, e)
	}
}

// Numbers at the end of their range, which only a faulty sender has, are no others'.
func TestLastNumbers(t *testing.T) {
	var m memory
	m.remember(math.MaxUint64-5, 3, note(1), nil)
	for _, s := range []span{{math.MaxUint64 - 6, 10, 0}, {math.MaxUint64 - 4, 10, 0}} {
		if _, known := m.recall(s.first, int(s.count)); known != forgotten {
			t.Errorf("%+v is %d", s, known)
		}
	}
}

// A sender that has asked little takes little.
func TestMemoryIsMadeWhenItIsUsed(t *testing.T) {
	var m memory
	if size := unsafe.Sizeof(sender{}); size > 512 {
		t.Errorf("a sender that asks nothing takes %d bytes", size)
	}
	if size := unsafe.Sizeof(memorized{}); size != 88 {
		t.Errorf("an entry takes %d bytes", size)
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
		m.remember(memorySize+n, 1, note(n), nil)
		m.recall(n*pageSize+1, 1)
	}
	if n := pages(); n != 1 {
		t.Errorf("%d pages after %d hits", n, pageSize)
	}
	for n := range uint64(10 * memorySize) {
		m.remember(2*memorySize+n+1, 1, note(n), nil)
	}
	if n := pages(); n != memorySize/pageSize {
		t.Errorf("%d pages at most", n)
	}
}
