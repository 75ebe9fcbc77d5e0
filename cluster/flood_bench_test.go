package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// BenchmarkTakeInAFlood measures how much slower decisions on live keys are when
// strangers have filled a replica's memory to its bound: flooded, against a quiet replica
// that has the same live keys alone; and amid, while as many hits of strangers come in
// between, against the quiet one beside that flood, as what strangers do to the processor's
// caches they do to all that the process has there. The turns alternate, and each ratio is
// the median of all turns'. ns-stranger is what a stranger's hit takes in the full one.
func BenchmarkTakeInAFlood(b *testing.B) {
	for _, c := range []struct {
		limits string
		live   int
	}{{"1000000 per 365 days", 1000}, {"1000000 per 365 days", 10_000}, {"1000000 per 365 days", 100_000}, {"1000000 per 365 days; 9000000 per 730 days", 10_000}} {
		b.Run(fmt.Sprintf("%s/live=%d", c.limits, c.live), func(b *testing.B) {
			f := newFlood(b, c.limits, c.live)
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

// flood is two replicas with the same live keys, one of which strangers have filled.
type flood struct {
	rule        *bucket.Rule
	quiet, full *cluster.Node
	live        []string
	strangers   int // that have come by
}

func newFlood(b *testing.B, limits string, live int) *flood {
	f := &flood{bucket.MustRule("api", limits), alone(b), alone(b), make([]string, live), 0}
	for i := range f.live {
		f.live[i] = "user-" + strconv.Itoa(i)
		f.take(f.quiet, f.live[i])
		f.take(f.full, f.live[i])
	}
	for range 40 {
		for _, name := range f.come(50_000) {
			f.take(f.full, name)
		}
	}
	return f
}

// alone is a replica without others, and with so much memory.
func alone(b *testing.B) *cluster.Node {
	n, err := cluster.Start(b.Context(), cluster.Config{MaxMemory: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}

func (f *flood) take(n *cluster.Node, key string) {
	if _, err := n.Take(context.Background(), f.rule, key, 1); err != nil {
		panic(err)
	}
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
// after each of which that many strangers ask the full replica. It returns nanoseconds a
// hit.
func (f *flood) turn(n *cluster.Node, strangers int) (live, stranger float64) {
	names := f.come(strangers * len(f.live) / batch)
	for _, key := range f.live {
		f.take(n, key)
	}
	var took, others time.Duration
	for keys := range slices.Chunk(f.live, batch) {
		begin := time.Now()
		for _, key := range keys {
			f.take(n, key)
		}
		middle := time.Now()
		for _, key := range names[:strangers] {
			f.take(f.full, key)
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
