package bucket

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// identity of an entry in a table.
type place struct{ hi, lo uint64 }

// drawPlace draws from few places, most of which want the same slot: in the
// middle, at the very end of a table, where the search goes on at its beginning,
// or at the beginning, where those from the end are in the way.
func drawPlace(t *rapid.T) place {
	base := rapid.SampledFrom([]uint64{0, 1 << 63, math.MaxUint64 - 40, 0xf000 << 48}).Draw(t, "slot")
	return place{rapid.Uint64Range(0, 2).Draw(t, "hi"), base + rapid.Uint64Range(0, 12).Draw(t, "lo")}
}

func TestTableAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table
		known := map[place]entry{}
		slot := func(p place) int {
			for i := range table.slots {
				if e := &table.slots[i]; e.limit != 0 && e.hi == p.hi && e.lo == p.lo {
					return i
				}
			}
			t.Fatalf("%x isn't there", p)
			return 0
		}
		insert := func(t *rapid.T) {
			p := drawPlace(t)
			if _, there := known[p]; !there {
				e := entry{hi: p.hi, lo: p.lo, at: rapid.Int64Range(1, 100).Draw(t, "at"), limit: 1}
				table.insert(e, 0) // when nothing is full
				known[p] = e
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": insert,
			"grow": func(t *rapid.T) {
				for range 10 {
					insert(t)
				}
			},
			"remove": func(t *rapid.T) {
				if p := drawPlace(t); known[p] != (entry{}) {
					table.remove(slot(p))
					delete(known, p)
				}
			},
			"change": func(t *rapid.T) {
				if p := drawPlace(t); known[p] != (entry{}) {
					e := table.find(p.hi, p.lo)
					e.at++
					known[p] = *e
				}
			},
			"rebuild": func(t *rapid.T) {
				now := rapid.Int64Range(0, 50).Draw(t, "now")
				table.rebuild(now)
				for p, e := range known {
					if e.state().full(now) {
						delete(known, p)
					}
				}
			},
			"": func(t *rapid.T) { checkTable(t, &table, known) },
		})
	})
}

// checkTable wants every known entry to be found, and nothing else to be there.
func checkTable(t *rapid.T, table *table, known map[place]entry) {
	for p, e := range known {
		if got := table.find(p.hi, p.lo); got == nil || *got != e {
			t.Fatalf("%x: got %+v, want %+v", p, got, e)
		}
		if table.find(p.hi+3, p.lo) != nil || table.find(p.hi, p.lo+100) != nil {
			t.Fatalf("%x: found under another digest", p)
		}
	}
	there := 0
	for i := range table.slots {
		if table.slots[i].limit != 0 {
			there++
		} else if table.slots[i] != (entry{}) {
			t.Fatalf("slot %d is empty, and yet has %+v", i, table.slots[i])
		}
	}
	if there != len(known) || int(table.used) != there {
		t.Fatalf("%d entries, used says %d, want %d", there, table.used, len(known))
	}
	if 8*int(table.used) > 7*len(table.slots) {
		t.Fatalf("%d of %d slots are used: a search may not end", table.used, len(table.slots))
	}
}

// Removing a slot of a run that goes round the end moves back just those that
// its filling had pushed on.
func TestRemoveRoundTheEnd(t *testing.T) {
	homes := map[rune]uint64{'a': 7, 'b': 7, 'c': 0, 'd': 2, 'e': 7, 'f': 0, 'g': 2}
	const filled = "bcdefg.a"
	for slot, want := range map[int]string{
		7: "cedfg..b",
		0: "cedfg..a",
		1: "bedfg..a",
		2: "bcefg..a",
		3: "bcdfg..a",
		4: "bcdeg..a",
		5: "bcdef..a",
	} {
		table := &table{slots: make([]entry, 8)}
		for _, name := range "abcdefg" {
			table.place(entry{lo: homes[name] << 61, limit: uint32(name)})
		}
		if got := layout(table); got != filled {
			t.Fatalf("got %s, want %s", got, filled)
		}
		if table.remove(slot); layout(table) != want {
			t.Errorf("without slot %d: got %s, want %s", slot, layout(table), want)
		}
	}
}

// layout spells a table whose limits are letters.
func layout(t *table) string {
	var b []rune
	for _, e := range t.slots {
		if e.limit == 0 {
			e.limit = '.'
		}
		b = append(b, rune(e.limit))
	}
	return string(b)
}
