package bucket_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// model is a token bucket as one would explain it: it holds so many tokens, is
// full to begin with, and as time goes by it fills, up to its capacity. There is
// nothing of GCRA in it, and nothing is rounded: it counts parts of a token, Per
// to the token, of which a nanosecond brings Count. A leaky bucket is one whose
// tokens have to wait until all before them are back. (With big.Rat in place of
// parts the tests take three times as long.)
type model struct {
	limit                bucket.Limit
	count, per, capacity *big.Int // capacity in parts
	parts                *big.Int // in the bucket
	at                   int64    // at this time
}

func newModel(l bucket.Limit) *model {
	m := &model{limit: l, count: big.NewInt(l.Count), per: big.NewInt(int64(l.Per))}
	m.capacity = m.partsOf(l.Capacity())
	m.parts = m.partsOf(l.Capacity())
	return m
}

func (m *model) partsOf(tokens int64) *big.Int {
	n := big.NewInt(tokens)
	return n.Mul(n, m.per)
}

func (m *model) refill(now int64) {
	gained := big.NewInt(now - m.at)
	m.parts.Add(m.parts, gained.Mul(gained, m.count))
	if m.parts.Cmp(m.capacity) > 0 {
		m.parts.Set(m.capacity)
	}
	m.at = now
}

func (m *model) full(now int64) bool {
	m.refill(now)
	return m.parts.Cmp(m.capacity) == 0
}

// until is the time, rounded up, until there will be so many parts.
func (m *model) until(parts *big.Int) time.Duration {
	lacking, rest := new(big.Int).Sub(parts, m.parts), new(big.Int)
	if lacking.Sign() <= 0 {
		return 0
	}
	if lacking.QuoRem(lacking, m.count, rest); rest.Sign() > 0 {
		return time.Duration(lacking.Int64() + 1)
	}
	return time.Duration(lacking.Int64())
}

func (m *model) wait(n int64) time.Duration {
	if n > m.limit.Capacity() {
		return never
	}
	return m.until(m.partsOf(n))
}

// delay is the wait in the queue, which is what has been taken and isn't back.
func (m *model) delay() time.Duration {
	if m.limit.Algorithm != bucket.LeakyBucket {
		return 0
	}
	return m.until(m.capacity)
}

func (m *model) take(n int64) { m.parts.Sub(m.parts, m.partsOf(n)) }

func (m *model) decision(retry time.Duration) bucket.Decision {
	return bucket.Decision{
		Allowed:    retry == 0,
		Limit:      m.limit,
		Remaining:  new(big.Int).Quo(m.parts, m.per).Int64(),
		RetryAfter: retry,
		ResetAfter: m.until(m.capacity),
	}
}

// models are the buckets of one key under one rule.
type models []*model

func newModels(r *bucket.Rule) (ms models) {
	for _, l := range r.Limits() {
		ms = append(ms, newModel(l))
	}
	return ms
}

// take takes n tokens from all the buckets, or none from any: then the one with
// the longest wait answers, and else the one with the fewest tokens left or,
// among equals, the longest way to full.
func (ms models) take(n, now int64) bucket.Decision {
	var refused bucket.Decision
	for _, m := range ms {
		m.refill(now)
		if wait := m.wait(n); wait > refused.RetryAfter {
			refused = m.decision(wait)
		}
	}
	if refused.RetryAfter > 0 {
		return refused
	}
	var tightest bucket.Decision
	for i, m := range ms {
		delay := max(tightest.Delay, m.delay())
		m.take(n)
		d := m.decision(0)
		if i == 0 || d.Remaining < tightest.Remaining ||
			d.Remaining == tightest.Remaining && d.ResetAfter > tightest.ResetAfter {
			tightest = d
		}
		tightest.Delay = delay
	}
	return tightest
}

// TestModel compares the store and the model over 200 000 hits in all (a twentieth
// under -race and -short, 4 million with -steps=1000000), on everyday and on awkward
// limits.
func TestModel(t *testing.T) {
	awkward := []bucket.Limit{
		{Count: 10, Per: time.Minute},
		{Count: 7, Per: time.Second},
		{Count: 7, Per: time.Second, Burst: 3},
		{Count: 999_999_937, Per: 1009},
		{Count: 3, Per: 360 * day},
		{Count: 1, Per: 1},
		{Count: 1<<63 - 1, Per: 1<<62 - 57},
		{Count: 1 << 62, Per: 1, Burst: 5},
		{Count: 1_000_003, Per: time.Hour, Burst: 1 << 40},
	}
	const workers, rules = 2, 40
	for w := range uint64(workers) {
		t.Run(fmt.Sprintf("seed %d", w), func(t *testing.T) {
			t.Parallel()
			rng := newRand(w)
			for i := range rules {
				limits := []bucket.Limit{randomLimit(rng)}
				if i < len(awkward) {
					limits[0] = awkward[i]
				} else if i%4 == 0 {
					limits = append(limits, randomLimit(rng), randomLimit(rng))
				}
				compare(t, newRule(t, "model", limits...), rng, scaled(4**bucket.ModelSteps)/workers/rules)
			}
		})
	}
}

// compare lets random hits come in at the store and at the model. When time has
// run out, it begins again with an untouched key.
func compare(t *testing.T, rule *bucket.Rule, rng *rand.Rand, steps int) {
	var store *bucket.Store
	var models models
	var last bucket.Decision
	now, lastN := int64(maxTime), int64(0)
	for range steps {
		if now == maxTime {
			store, models, now, last = newStore(), newModels(rule), 0, bucket.Decision{}
		}
		n, next := randomHit(rng, rule, last, lastN, now)
		got, want := bare(store.Take(rule, "key", n, next)), models.take(n, next)
		if got != want {
			t.Fatalf("%+v: %d tokens at %d:\nthe store says %+v\nthe model says %+v", rule.Limits(), n, next, got, want)
		}
		now, last, lastN = next, got, n
	}
}

// randomHit is often one at the very edge: what remained, or one token more,
// or the refused hit again when it was told to come again, or just before.
func randomHit(rng *rand.Rand, r *bucket.Rule, last bucket.Decision, lastN, now int64) (n, at int64) {
	limits := r.Limits()
	l := limits[rng.IntN(len(limits))]
	if wait := int64(last.RetryAfter); wait > 0 && wait < maxTime-now && rng.IntN(2) == 0 {
		return lastN, now + wait - rng.Int64N(2)
	}
	switch rng.IntN(8) {
	case 0:
		n = rng.Int64N(l.Capacity()) + 1
	case 1:
		n = min(last.Remaining, 1<<62) + rng.Int64N(2)
	case 2:
		n = l.Capacity()/4 + 1
	default:
		n = rng.Int64N(4)
	}
	gap := rng.Int64N(3)
	switch rng.IntN(8) {
	case 0:
		gap = rng.Int64N(int64(l.Per))
	case 1:
		gap = int64(l.Per)/l.Count + rng.Int64N(2)
	case 2:
		gap = min(int64(last.ResetAfter), maxTime) + rng.Int64N(2)
	}
	return n, now + min(gap, maxTime-now)
}

func randomLimit(rng *rand.Rand) bucket.Limit {
	l := bucket.Limit{
		Algorithm: algorithms[rng.IntN(2)],
		Count:     max(1, rng.Int64()>>rng.IntN(63)),
		Per:       time.Duration(max(1, rng.Int64N(1<<62)>>rng.IntN(62))),
	}
	if burst := max(1, rng.Int64()>>rng.IntN(63)); rng.IntN(2) == 0 {
		l.Burst = burst
	}
	if _, err := bucket.NewRule("r", []bucket.Limit{l}); err != nil {
		l.Burst = 0
	}
	return l
}
