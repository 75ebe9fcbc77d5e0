package bucket_test

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// BenchmarkTake measures one decision of the store with keys that are digested
// on the spot, from few to many of them, and with more than one limit.
func BenchmarkTake(b *testing.B) {
	for _, limits := range []string{"100/second", "7/second", "1000/second; 100000/hour", "100/second leaky", "100/second fixed", "1000/day calendar in Europe/Berlin", "100/second sliding", "100/second log"} {
		for _, n := range []int{1, 10_000, 1_000_000} {
			b.Run(limits+"/keys="+strconv.Itoa(n), func(b *testing.B) { benchmarkTake(b, limits, n) })
		}
	}
}

func benchmarkTake(b *testing.B, limits string, n int) {
	rule := bucket.MustRule("api", limits)
	store := bucket.NewStore(bucket.StoreConfig{})
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user-" + strconv.Itoa(i)
		store.Take(rule, keys[i], 1, 0)
	}
	var worker atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i, now := int(worker.Add(1))*7919%n, int64(0)
		for pb.Next() {
			now += 10_000
			store.Take(rule, keys[i], 1, now)
			if i += 7919; i >= n {
				i %= n
			}
		}
	})
}

// BenchmarkTakeAdmits measures decisions of which each takes a token; most of
// BenchmarkTake's refuse.
func BenchmarkTakeAdmits(b *testing.B) {
	for _, words := range []string{"", " leaky", " fixed", " fixed aligned", " sliding", " sliding aligned", " log"} {
		b.Run("100 per second"+words, func(b *testing.B) {
			store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("api", "100/second"+words)
			now := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				now += 10_100_000
				if d := store.Take(rule, "key", 1, now); !d.Allowed {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkPeek and BenchmarkRefund measure what else is asked of a key that is there.
func BenchmarkPeek(b *testing.B) {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("api", "100/second")
	store.Take(rule, "key", 1, 0)
	b.ReportAllocs()
	for b.Loop() {
		store.Peek(rule, "key", 1, 0)
	}
}

func BenchmarkRefund(b *testing.B) {
	store, rule := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("api", "100/second")
	b.ReportAllocs()
	for b.Loop() {
		store.Refund(rule, "key", store.Take(rule, "key", 1, 0).Receipt, 0)
	}
}

// BenchmarkMemory reports what a million keys take, and how long the garbage
// collector needs for them, per forced collection.
func BenchmarkMemory(b *testing.B) {
	const keys = 1_000_000
	rule, store := bucket.MustRule("api", "100/hour"), bucket.NewStore(bucket.StoreConfig{})
	for i := range keys {
		store.Take(rule, "user-"+strconv.Itoa(i), 1, 0)
	}
	runtime.GC()
	b.ResetTimer()
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(float64(store.Stats().Bytes)/keys, "bytes/key")
	runtime.KeepAlive(store)
}
