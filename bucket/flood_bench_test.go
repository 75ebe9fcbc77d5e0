package bucket_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// BenchmarkTakeInAFlood measures how much slower decisions on live keys are when
// strangers have filled the store to its bound: flooded, against a quiet store that has
// the same live keys alone; and amid, while as many hits of strangers come in between,
// against the quiet one beside that flood, as what strangers do to the processor's caches
// they do to all that the process has there. The turns alternate, and each ratio is the
// median of all turns'. ns-stranger is what a stranger's hit takes in the full store.
func BenchmarkTakeInAFlood(b *testing.B) {
	for _, c := range []struct {
		limits string
		live   int
	}{{"1000000/hour", 1000}, {"1000000/hour", 10_000}, {"1000000/hour", 100_000}, {"1000000/hour; 9000000/day", 10_000}} {
		b.Run(fmt.Sprintf("%s/live=%d", c.limits, c.live), func(b *testing.B) {
			f := newFlood(c.limits, c.live)
			var quiet, flooded, beside, amid, stranger, slower, slowerAmid []float64
			for b.Loop() {
				q, _ := f.turn(f.quiet, 0)
				full, _ := f.turn(f.full, 0)
				near, _ := f.turn(f.quiet, batch)
				among, other := f.turn(f.full, batch)
				quiet, flooded, slower = append(quiet, q), append(flooded, full), append(slower, full/q)
				beside, amid, slowerAmid = append(beside, near), append(amid, among), append(slowerAmid, among/near)
				stranger = append(stranger, other)
			}
			b.ReportMetric(0, "ns/op") // of four turns: it says nothing
			b.ReportMetric(median(quiet), "ns-quiet")
			b.ReportMetric(median(flooded), "ns-flooded")
			b.ReportMetric(median(slower), "x-slower")
			b.ReportMetric(median(beside), "ns-quiet-beside")
			b.ReportMetric(median(amid), "ns-amid")
			b.ReportMetric(median(slowerAmid), "x-slower-amid")
			b.ReportMetric(median(stranger), "ns-stranger")
		})
	}
}

// batch is how many hits are timed at once, with those of strangers in between.
const batch = 50

// flood is two stores with the same live keys, one of which strangers have filled.
type flood struct {
	rule        *bucket.Rule
	quiet, full *bucket.Store
	live        []string
	strangers   int // that have come by
}

func newFlood(limits string, live int) *flood {
	config := bucket.StoreConfig{MaxBytes: 64 << 20}
	f := &flood{bucket.MustRule("api", limits), bucket.NewStore(config), bucket.NewStore(config), make([]string, live), 0}
	for i := range f.live {
		f.live[i] = "user-" + strconv.Itoa(i)
		f.quiet.Take(f.rule, f.live[i], 1, 0)
		f.full.Take(f.rule, f.live[i], 1, 0)
	}
	for range 40 {
		for _, name := range f.come(50_000) {
			f.full.Take(f.rule, name, 1, 0)
		}
	}
	return f
}

// come makes the names of strangers that haven't been here before.
func (f *flood) come(n int) []string {
	names := make([]string, n)
	for i := range names {
		f.strangers++
		names[i] = "stranger-" + strconv.Itoa(f.strangers)
	}
	return names
}

// turn takes a token from each live key twice. It times the second round, in batches,
// after each of which that many strangers ask the full store. It returns nanoseconds a
// hit.
func (f *flood) turn(store *bucket.Store, strangers int) (live, stranger float64) {
	names := f.come(strangers * len(f.live) / batch)
	for _, key := range f.live {
		store.Take(f.rule, key, 1, 0)
	}
	var took, others time.Duration
	for keys := range slices.Chunk(f.live, batch) {
		begin := time.Now()
		for _, key := range keys {
			store.Take(f.rule, key, 1, 0)
		}
		middle := time.Now()
		for _, key := range names[:strangers] {
			f.full.Take(f.rule, key, 1, 0)
		}
		names = names[strangers:]
		took, others = took+middle.Sub(begin), others+time.Since(middle)
	}
	return float64(took) / float64(len(f.live)), float64(others) / float64(max(strangers*len(f.live)/batch, 1))
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
