package cluster

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// Whoever comes and goes at once, each key that has a place is found in it, and the marks
// say which places are taken.
func TestMarksAreThoseOfTheSlots(t *testing.T) {
	const keys = 40
	table := newHotKeys()
	rules := [...]*bucket.Rule{bucket.MustRule("api", "5/second"), bucket.MustRule("api", "6/second")}
	check := func(when string) {
		t.Helper()
		for i := range table.slots {
			k := table.slots[i].Load()
			if k != nil && table.find(k.digest) != k {
				t.Errorf("%s: the key in slot %d isn't found", when, i)
			}
			marked := bit(table.marks[:], uint64(i/2))
			if taken := k != nil || table.slots[i^1].Load() != nil; marked != taken {
				t.Errorf("%s: slots of %d: taken is %t, marked %t", when, i, taken, marked)
			}
		}
	}
	var wg sync.WaitGroup
	for w := range uint64(8) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(w, 1))
			for range 20_000 {
				d, rule := bucket.Digest{Lo: uint64(rng.IntN(keys)) | uint64(rng.IntN(3))<<12}, rules[rng.IntN(2)]
				switch i := rng.IntN(keys); rng.IntN(4) {
				case 0:
					if k := table.find(d); k != nil && !k.under(rule) {
						table.change(k, rule)
					}
				case 1:
					if k := table.slots[i].Load(); k != nil {
						table.remove(i, k)
					}
				default:
					table.of(d, rule)
				}
			}
		})
	}
	wg.Wait()
	check("at rest")
	table.close()
	check("closed")
}
