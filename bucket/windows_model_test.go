package bucket

import (
	"flag"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// ModelSteps is for the bucket's model too.
var ModelSteps = flag.Int("steps", 50_000, "random hits for each kind of limit that are compared with the model; windows and logs are six kinds, buckets four")

// ledger is a limit that counts in windows or a log, as one would explain it:
// every hit is on paper, and what counts is added up anew each time.
type ledger struct {
	Limit
	zone  *time.Location
	hits  []struct{ at, n int64 } // that took something and may still count
	first int64                   // the hit that found nothing which counted
}

// start is when the window of a time began.
func (m *ledger) start(at int64) int64 {
	per := int64(m.Per)
	if m.Aligned {
		return at - (epoch+at)%per
	}
	return m.first + (at-m.first)/per*per
}

// counted is how much of the limit is in use at now. It may be part of a token.
func (m *ledger) counted(now int64) *big.Rat {
	per := int64(m.Per)
	sum := int64(0)
	if m.Algorithm == SlidingLog {
		for _, h := range m.hits {
			if now-h.at < per {
				sum += h.n
			}
		}
		return big.NewRat(sum, 1)
	}
	if m.Calendar {
		for _, h := range m.hits {
			if m.date(h.at) == m.date(now) {
				sum += h.n
			}
		}
		return big.NewRat(sum, 1)
	}
	begin, before := m.start(now), int64(0)
	for _, h := range m.hits {
		switch m.start(h.at) {
		case begin:
			sum += h.n
		case begin - per:
			before += h.n
		}
	}
	if m.Algorithm == FixedWindow {
		return big.NewRat(sum, 1)
	}
	weight := new(big.Rat).Mul(big.NewRat(before, 1), big.NewRat(per-(now-begin), per))
	return weight.Add(weight, big.NewRat(sum, 1))
}

func (m *ledger) date(at int64) int { return shown(time.Unix(0, epoch+at).In(m.zone), m.Per) }

// left is how many tokens are: all but those of which the whole is in use.
func (m *ledger) left(now int64) int64 {
	used := m.counted(now)
	return m.Count - new(big.Int).Quo(used.Num(), used.Denom()).Int64()
}

// take decides, and writes down what it admits.
func (m *ledger) take(n, now int64) (allowed bool) {
	if allowed = n <= m.left(now); allowed && n > 0 {
		if len(m.hits) == 0 {
			m.first = now
		}
		m.hits = append(m.hits, struct{ at, n int64 }{now, n})
	}
	return allowed
}

// forget strikes out what can't count any more. From then on a window begins with
// a hit; if something still counts, windows go on from each other.
func (m *ledger) forget(now int64) {
	if m.counted(now).Sign() == 0 {
		m.hits = m.hits[:0]
	}
	for !m.Calendar && len(m.hits) > 0 && now-m.hits[0].at >= 2*int64(m.Per) {
		m.hits = m.hits[1:]
	}
}

// agrees reports what is wrong with a verdict about n tokens at now.
func (m *ledger) agrees(v Verdict, n, now int64) string {
	allowed := m.take(n, now)
	if left := m.left(now); v.Allowed != allowed || v.Remaining != left {
		return fmt.Sprintf("allowed %t, %d left", allowed, left)
	}
	if wait := int64(v.RetryAfter); !allowed && n <= m.Count && (m.left(now+wait) < n || m.left(now+wait-1) >= n) {
		return fmt.Sprintf("%d left after the wait, and %d a nanosecond before", m.left(now+wait), m.left(now+wait-1))
	}
	if n > m.Count && v.RetryAfter != Never {
		return "it can never pass"
	}
	if reset := int64(v.ResetAfter); m.left(now+reset) != m.Count || reset > 0 && m.left(now+reset-1) == m.Count {
		return "whole at another time"
	}
	return ""
}

// TestWindowsAndLogsAgainstTheModel compares 300 000 hits in all with the model,
// under two seconds; -steps=1000000 makes it a million for each kind.
func TestWindowsAndLogsAgainstTheModel(t *testing.T) {
	for _, kind := range []Limit{
		{Algorithm: FixedWindow},
		{Algorithm: FixedWindow, Aligned: true},
		{Algorithm: FixedWindow, Calendar: true, Zone: "Europe/Berlin"},
		{Algorithm: SlidingWindow},
		{Algorithm: SlidingWindow, Aligned: true},
		{Algorithm: SlidingLog},
	} {
		t.Run(fmt.Sprintf("%v aligned=%t calendar=%t", kind.Algorithm, kind.Aligned, kind.Calendar), func(t *testing.T) {
			t.Parallel()
			steps := *ModelSteps
			if UnderRace || testing.Short() {
				steps /= 20
			}
			rng := rand.New(rand.NewPCG(7, uint64(kind.Algorithm)))
			for i := range 20 {
				l := kind
				l.Count, l.Per = 1+rng.Int64N(30), time.Duration(1+rng.Int64N(1<<min(50, 3*i+4)))
				if l.Calendar {
					l.Per = []time.Duration{Day, Week, Month, Year}[i%4]
				}
				compareLedger(t, l, rng, steps/20)
			}
		})
	}
}

func compareLedger(t *testing.T, l Limit, rng *rand.Rand, steps int) {
	rule, err := NewRule("r", []Limit{l})
	if err != nil {
		t.Fatal(err)
	}
	m := &ledger{Limit: l, zone: rule.terms[0].window.zone}
	var store *Store
	d := Digest{1, 2}
	now, last, lastN := int64(1<<61), Verdict{}, int64(0)
	for i := range steps {
		if now > 1<<60 {
			store, now, m.hits = NewStore(StoreConfig{Epoch: epoch}), 0, nil
		}
		n := rng.Int64N(4)
		switch rng.IntN(8) {
		case 0:
			n = rng.Int64N(l.Count + 2)
		case 1:
			n = last.Remaining + rng.Int64N(2)
		}
		switch per := int64(l.Per); rng.IntN(8) {
		case 0:
			now += rng.Int64N(per)
		case 1, 2, 3:
			now += rng.Int64N(per/l.Count + 2)
		case 4:
			now += int64(last.ResetAfter) - rng.Int64N(2)*min(1, int64(last.ResetAfter))
		case 5:
			if wait := last.RetryAfter; wait > 0 && wait != Never {
				now, n = now+int64(wait)-rng.Int64N(2), lastN
			}
		}
		if rng.IntN(100) == 0 {
			store.Sweep(now, 1<<20)
		}
		m.forget(now)
		v := store.TakeDigest(rule, d, n, now)
		if wrong := m.agrees(v, n, now); wrong != "" {
			t.Fatalf("%+v, step %d: %d tokens at %d: %+v; the model says %s", l, i, n, now, v, wrong)
		}
		last, lastN = v, n
	}
	checkStore(t, store)
}
