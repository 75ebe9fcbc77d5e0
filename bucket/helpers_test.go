package bucket_test

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	never   = bucket.Never
	day     = 24 * time.Hour
	maxTime = 1<<62 - 1 // the last time that a Store knows
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newStore() *bucket.Store { return bucket.NewStore(bucket.StoreConfig{}) }

func newRule(t tester, name string, limits ...bucket.Limit) *bucket.Rule {
	t.Helper()
	r, err := bucket.NewRule(name, limits)
	if err != nil {
		t.Fatalf("NewRule: %v", err)
	}
	return r
}

// scaled is n, or less where the machine has less time: under -race and -short.
func scaled(n int) int {
	if bucket.UnderRace || testing.Short() {
		return n / 20
	}
	return n
}

// bare is the decision without its receipt, for comparing with one that was told.
func bare(d bucket.Decision) bucket.Decision {
	d.Receipt = bucket.Receipt{}
	return d
}

// peek asks without taking.
func peek(s *bucket.Store, r *bucket.Rule, key string, now int64) bucket.Decision {
	return s.Take(r, key, 0, now)
}

// hit is something that was admitted.
type hit struct{ at, n int64 }

// checkEveryInterval fails unless what the hits took is what the limit promises:
// of a bucket, in every interval, of length t say, at most Capacity + t·Count/Per
// tokens; of a SlidingLog, at most Count in every half-open interval of length
// Per. The hits are in order.
func checkEveryInterval(t tester, l bucket.Limit, hits []hit) {
	t.Helper()
	if l.Algorithm == bucket.SlidingLog {
		for i, first := range hits {
			sum := int64(0)
			for _, h := range hits[i:] {
				if sum += h.n; h.at-first.at < int64(l.Per) && sum > l.Count {
					t.Fatalf("%+v admitted too much from hit %d of %v", l, i, hits)
				}
			}
		}
	}
	if l.Algorithm != bucket.TokenBucket && l.Algorithm != bucket.LeakyBucket {
		return // of windows see algorithms_test.go
	}
	count, per := big.NewInt(l.Count), big.NewInt(int64(l.Per))
	var passed, may big.Int // both times Per
	for i := range hits {
		passed.SetInt64(0)
		for j := i; j < len(hits); j++ {
			passed.Add(&passed, may.Mul(big.NewInt(hits[j].n), per))
			may.Mul(big.NewInt(hits[j].at-hits[i].at), count)
			may.Add(&may, new(big.Int).Mul(big.NewInt(l.Capacity()), per))
			if passed.Cmp(&may) > 0 {
				t.Fatalf("%+v admitted too much from hit %d to %d of %v", l, i, j, hits)
			}
		}
	}
}

// drawLimit draws a valid limit: an everyday one, an awkward or an extreme one.
func drawLimit(t *rapid.T) bucket.Limit {
	size := rapid.OneOf(
		rapid.Int64Range(1, 20),
		rapid.SampledFrom([]int64{100, 1009, 1e6, 999_999_937, 1e9, 1e9 + 7, 1 << 62, 1<<63 - 1}),
		rapid.Int64Range(1, 1<<63-1),
	)
	per := rapid.OneOf(
		rapid.Int64Range(1, 20),
		rapid.SampledFrom([]int64{1009, 1e6, 1e9, 60e9, 3600e9, int64(360 * day), 1 << 62}),
		rapid.Int64Range(1, 1<<62),
	)
	l := bucket.Limit{
		Count: size.Draw(t, "count"),
		Per:   time.Duration(per.Draw(t, "per")),
		Burst: rapid.OneOf(rapid.Just(int64(0)), size).Draw(t, "burst"),
	}
	if _, err := bucket.NewRule("r", []bucket.Limit{l}); err != nil {
		l.Burst = 0 // this much would take over 146 years to come back
	}
	return l
}

// algorithms are all that there are.
var algorithms = [...]bucket.Algorithm{bucket.TokenBucket, bucket.LeakyBucket, bucket.FixedWindow, bucket.SlidingWindow, bucket.SlidingLog}

// drawAnyLimit is drawLimit for every algorithm.
func drawAnyLimit(t *rapid.T) bucket.Limit {
	l := drawLimit(t)
	switch l.Algorithm = rapid.SampledFrom(algorithms[:]).Draw(t, "algorithm"); l.Algorithm {
	case bucket.TokenBucket, bucket.LeakyBucket:
		return l
	case bucket.SlidingWindow:
		l.Count, l.Per = l.Count%(1<<32-1)+1, (l.Per+1)/2
	case bucket.SlidingLog:
		l.Count = l.Count%1024 + 1
	}
	l.Burst = 0
	if l.Algorithm != bucket.SlidingLog {
		l.Aligned = rapid.Bool().Draw(t, "aligned")
	}
	if l.Algorithm == bucket.FixedWindow && rapid.IntRange(0, 2).Draw(t, "calendar") == 0 {
		l.Aligned, l.Calendar = false, true
		l.Per = rapid.SampledFrom([]time.Duration{bucket.Day, bucket.Week, bucket.Month, bucket.Year}).Draw(t, "unit")
		l.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"}).Draw(t, "zone")
	}
	return l
}

// drawRule draws a rule with that many limits, named "a", "b" and so on.
func drawRule(t *rapid.T, least, most int) *bucket.Rule {
	limits := make([]bucket.Limit, rapid.IntRange(least, most).Draw(t, "limits"))
	for i := range limits {
		limits[i] = drawAnyLimit(t)
		limits[i].Name = string(rune('a' + i))
	}
	return newRule(t, "drawn", limits...)
}

// drawTokens draws a cost that suits the rule: small, near what one of its
// limits holds, or anything.
func drawTokens(t *rapid.T, r *bucket.Rule) int64 {
	l := rapid.SampledFrom(r.Limits()).Draw(t, "limit")
	return rapid.OneOf(
		rapid.Int64Range(0, 3),
		rapid.Int64Range(0, l.Capacity()),
		rapid.SampledFrom([]int64{l.Capacity()/2 + 1, l.Capacity()}),
		rapid.Int64Range(0, 1<<63-1),
	).Draw(t, "n")
}

// drawLater draws a time at or after now: soon, when about a token or all of
// them are back, or whenever. It is never beyond maxTime.
func drawLater(t *rapid.T, r *bucket.Rule, now int64) int64 {
	l := rapid.SampledFrom(r.Limits()).Draw(t, "limit")
	per := int64(l.Per)
	gap := rapid.OneOf(
		rapid.Int64Range(0, 3),
		rapid.Int64Range(0, per/max(l.Count, 1)+1),
		rapid.Int64Range(0, per),
	).Draw(t, "gap")
	return now + min(gap, maxTime-now)
}

// walk lets random hits come in one after the other, and returns when the last
// one came and what was admitted.
func walk(t *rapid.T, s *bucket.Store, r *bucket.Rule, key string) (now int64, admitted []hit) {
	now = rapid.Int64Range(0, 1<<40).Draw(t, "start")
	for range rapid.IntRange(0, 40).Draw(t, "hits") {
		n := drawTokens(t, r)
		d := s.Take(r, key, n, now)
		if d.Allowed {
			admitted = append(admitted, hit{now, n})
		}
		if wait := int64(d.RetryAfter); wait > 0 && wait <= maxTime-now && rapid.Bool().Draw(t, "wait") {
			now += wait
		} else {
			now = drawLater(t, r, now)
		}
	}
	return now, admitted
}

// newRand makes random numbers that are the same in every run.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 42)) }
