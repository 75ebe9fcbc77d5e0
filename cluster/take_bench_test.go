package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// BenchmarkTake is a decision where it is asked, and one at another replica on
// loopback: by one caller at a time, and by many.
func BenchmarkTake(b *testing.B) {
	var ns [2]*Node
	seeds := []string{}
	for i, name := range []string{"a", "b"} {
		n, err := Start(b.Context(), Config{Name: name, Bind: "127.0.0.1:0", Seeds: seeds, HitTimeout: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = n.Close(context.Background()) })
		ns[i], seeds = n, append(seeds, n.GossipAddress())
	}
	for !ns[0].Ready() || !ns[1].Ready() || len(ns[0].Members()) < 2 || len(ns[1].Members()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	rule := bucket.MustRule("api", "1000000000/second")
	for i, where := range []string{"here", "there"} {
		key := keyOf(ns[i], rule)
		ask := func(b *testing.B) {
			if d, err := ns[0].Take(b.Context(), rule, key, 1); err != nil || !d.Allowed || d.Degraded {
				b.Errorf("%+v, %v", d, err)
			}
		}
		b.Run(where+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(b)
			}
		})
		b.Run(where+"/many", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b)
				}
			})
		})
	}
}
