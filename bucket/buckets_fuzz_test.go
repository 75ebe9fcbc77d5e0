package bucket_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// fuzzModel lets the hits that a fuzzer thinks of come in at a store and at the
// model of a token bucket. Each is three bytes: how many tokens, and how long
// after the one before; or, if that is above 127, when the last answer said, or a
// nanosecond earlier. A leaky bucket is a token bucket whose hits wait for those
// before them.
func fuzzModel(f *testing.F, algorithm bucket.Algorithm) {
	f.Add(uint64(5), uint64(time.Minute), uint64(0), []byte{1, 0, 0, 5, 0, 0, 5, 128, 0, 5, 129, 0, 3, 127, 255, 0, 130, 0})
	f.Add(uint64(1<<63-1), uint64(1<<62), uint64(7), []byte{1, 0, 0, 2, 0, 0, 1, 255, 0})
	f.Add(uint64(7), uint64(time.Second), uint64(1<<40), []byte{255, 0, 1, 255, 64, 0, 255, 0, 1, 255, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, count, per, burst uint64, hits []byte) {
		l := bucket.Limit{Algorithm: algorithm, Count: int64(max(1, count>>1)), Per: time.Duration(max(1, per>>2)), Burst: int64(burst >> 1)}
		rule, err := bucket.NewRule("r", []bucket.Limit{l})
		if err != nil {
			return // it takes over 146 years to come back
		}
		store, ms := newStore(), newModels(rule)
		now, last := int64(0), bucket.Decision{}
		for ; len(hits) >= 3 && len(hits) < 600; hits = hits[3:] {
			n, gap := int64(hits[0]), int64(binary.BigEndian.Uint16(hits[1:]))
			step := int64(l.Per) / (1 << 15) * gap
			if wait := last.RetryAfter; gap >= 1<<15 && wait > 0 && wait != never {
				step = int64(wait) - gap>>8%2
			} else if gap >= 1<<15 {
				step = max(0, int64(last.ResetAfter)-gap>>8%2)
			}
			if step > maxTime-now {
				return
			}
			now += step
			ms[0].refill(now)
			queue := ms[0].until(ms[0].capacity)
			last = store.Take(rule, "key", n, now)
			want := ms.take(n, now)
			if want.Allowed && algorithm == bucket.LeakyBucket {
				want.Delay = queue
			}
			if last != want {
				t.Fatalf("%+v: %d tokens at %d:\nthe store says %+v\nthe model says %+v", l, n, now, last, want)
			}
		}
	})
}

func FuzzTokenBucket(f *testing.F) { fuzzModel(f, bucket.TokenBucket) }
func FuzzLeakyBucket(f *testing.F) { fuzzModel(f, bucket.LeakyBucket) }
