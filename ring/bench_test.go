package ring

import (
	"fmt"
	"testing"
)

func BenchmarkOwnerIndex(b *testing.B) {
	table := mustNew(b, series("api-%d", 10)...)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var hi uint64
		var sum int
		for pb.Next() {
			hi += 0x9e37_79b9_7f4a_7c15 // the golden ratio: visits all partitions
			sum += table.OwnerIndex(Partition(hi))
		}
		if sum < 0 { // never, but the compiler must not drop the sum
			b.Error(sum)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		names := series("api-%d", n)
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			for b.Loop() {
				mustNew(b, names...)
			}
		})
	}
}
