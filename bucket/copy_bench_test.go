package bucket_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// BenchmarkChanges is a round of replication in which each of 10 000 keys has changed:
// what the holder writes and its standby merges.
func BenchmarkChanges(b *testing.B) {
	rule := bucket.MustRule("api", "1000000000 per 365 days")
	holder := bucket.NewStore(bucket.StoreConfig{Track: true})
	standby := newStore()
	digests := make([]bucket.Digest, 10_000)
	for i := range digests {
		digests[i] = holder.Digest(rule, fmt.Sprint("key ", i))
	}
	now := int64(0)
	all := func(int) bool { return true }
	var copies [][]byte
	var of []int
	charge := func(b *testing.B) {
		b.StopTimer()
		now += 1e8
		for _, d := range digests {
			holder.TakeDigest(rule, d, 1, now)
		}
		copies, of = copies[:0], of[:0]
		b.StartTimer()
	}
	write := func() {
		for shard := range bucket.Shards {
			holder.Changes(shard, now, all, func(p int, changes []byte) { copies, of = append(copies, bytes.Clone(changes)), append(of, p) })
		}
	}
	merge := func() {
		for i, p := range of {
			if err := standby.Merge(p, copies[i], now); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			charge(b)
			write()
		}
	})
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			charge(b)
			b.StopTimer()
			write()
			b.StartTimer()
			merge()
		}
	})
}
