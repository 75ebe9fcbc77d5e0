package bucket

import (
	"math/rand/v2"
	"time"
)

// randomRule is one that may be leased.
func randomRule(rng *rand.Rand, algorithm Algorithm) *Rule {
	for {
		limits := make([]Limit, 1+max(0, rng.IntN(4)-1)/2)
		for i := range limits {
			l := Limit{Name: string(rune('a' + i)), Algorithm: algorithm, Count: 1 + rng.Int64N(2000), Per: time.Duration(rng.Int64N(3600e9) >> rng.IntN(16))}
			if algorithm == TokenBucket && rng.IntN(3) > 0 {
				l.Burst = 1 + rng.Int64N(2*l.Count)
			}
			if rng.IntN(8) == 0 { // to the limits of what there is
				l.Count, l.Per = 1+rng.Int64()>>(1+rng.IntN(60)), time.Duration(1+rng.Int64N(1<<61)>>rng.IntN(40))
				l.Burst = 0
			}
			l.Aligned = algorithm == FixedWindow && rng.IntN(2) == 0
			limits[i] = l
		}
		if r, err := NewRule("r", limits); err == nil && r.LeaseTerm() > 0 && r.Capacity() >= 8 {
			return r
		}
	}
}
