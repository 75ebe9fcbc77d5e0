package pace

import (
	"math"
	"math/rand/v2"
	"sort"
)

// Zipf draws keys: the one of rank k, from 0, with a weight of 1/(k+1)^skew. It is safe
// for concurrent use.
type Zipf struct{ below []float64 } // the share of this key and those before it

// NewZipf makes a Zipf for that many keys, at least one.
func NewZipf(keys int, skew float64) *Zipf {
	z := &Zipf{make([]float64, keys)}
	sum := 0.0
	for k := range z.below {
		sum += math.Pow(float64(k+1), -skew)
		z.below[k] = sum
	}
	for k := range z.below {
		z.below[k] /= sum
	}
	return z
}

// Share is how much of all calls are for a key.
func (z *Zipf) Share(key int) float64 {
	if key == 0 {
		return z.below[0]
	}
	return z.below[key] - z.below[key-1]
}

// Key draws one.
func (z *Zipf) Key() int { return z.at(rand.Float64()) }

func (z *Zipf) at(x float64) int {
	return min(sort.Search(len(z.below), func(k int) bool { return z.below[k] > x }), len(z.below)-1)
}

// Line is how much of a load passes a limit of so many per second for each key, in the
// long run: what a key isn't asked for it doesn't admit.
func (z *Zipf) Line(rate int, perKey float64) (line float64) {
	for k := range z.below {
		line += min(perKey, float64(rate)*z.Share(k))
	}
	return line
}
