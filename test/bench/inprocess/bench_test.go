package inprocess

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkTake is one decision on one of 1, 10⁴ or 10⁶ keys that are all known, in
// random order: not the one in which they first came, or who makes something for each
// key would find all of it in a row, which no processor has to wait for.
func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 10_000, 1_000_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) {
			came := make([]string, keys)
			for i := range came {
				came[i] = "user-" + strconv.Itoa(i)
			}
			names := slices.Clone(came)
			rand.New(rand.NewPCG(1, 2)).Shuffle(keys, func(i, j int) { names[i], names[j] = names[j], names[i] })
			for _, s := range systems() {
				b.Run(s.name, func(b *testing.B) { measure(b, s.open(b), came, names) })
			}
		})
	}
}

func measure(b *testing.B, open func() take, came, names []string) {
	warm := open()
	for _, name := range came {
		if !warm(name) {
			b.Fatal("refused")
		}
	}
	var worker atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		take, i, refused := open(), int(worker.Add(1))*7919%len(names), 0
		for pb.Next() {
			if !take(names[i]) {
				refused++
			}
			if i++; i == len(names) {
				i = 0
			}
		}
		if refused > 0 {
			b.Errorf("%d refused", refused)
		}
	})
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used of all cores: it says more than the clock where
// others share the machine.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Every system decides, so that nothing that was measured is a failure.
func TestEverySystemAdmits(t *testing.T) {
	for _, s := range systems() {
		if r := testing.Benchmark(func(b *testing.B) {
			take := s.open(b)()
			for i := range 100 {
				if !take(strconv.Itoa(i % 7)) {
					b.Fatal("refused")
				}
			}
		}); r.N == 0 {
			t.Errorf("%s refuses a hit under a burst of %d", s.name, burst)
		}
	}
}
