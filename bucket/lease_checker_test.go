package bucket

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// checker says by how much more passed than a limit allows. Of a bucket it is GCRA
// once more, in exact numbers that need no division: n tokens cost n·Per, and every
// nanosecond brings Count.
type checker struct {
	limit  Limit
	excess *big.Int // in units of 1/Per of a token
	tat    *big.Int

	admits     []admitted // of windows
	number     uint32     // of the latest
	begin, end int64
}

type admitted struct{ at, n int64 }

func newChecker(l Limit) *checker {
	return &checker{limit: l, excess: new(big.Int), tat: new(big.Int)}
}

// admit notes what passed, in the order of time.
func (c *checker) admit(at, n int64) {
	if c.limit.Algorithm == FixedWindow {
		c.admits = append(c.admits, admitted{at, n})
		return
	}
	brought := product(at, c.limit.Count)
	if c.tat.Cmp(brought) < 0 {
		c.tat.Set(brought)
	}
	c.tat.Add(c.tat, product(n, int64(c.limit.Per)))
	over := brought.Sub(c.tat, brought)
	if over.Sub(over, product(c.limit.Capacity(), int64(c.limit.Per))).Cmp(c.excess) > 0 {
		c.excess.Set(over)
	}
}

// window looks at what passed in a window of that number, so far. It begins when the
// one before it has ended, by the clock of whoever had that.
func (c *checker) window(number uint32, begin, end int64) {
	if number != c.number {
		c.number, c.begin = number, max(begin, c.end)
	}
	c.end = max(end, c.end)
	sum := int64(0)
	for i := len(c.admits) - 1; i >= 0 && c.admits[i].at >= max(c.begin, begin); i-- {
		if c.admits[i].at < end {
			sum += c.admits[i].n
		}
	}
	if over := product(sum-c.limit.Count, 1); over.Cmp(c.excess) > 0 {
		c.excess.Set(over)
	}
}

// forget begins again with a limit that is whole.
func (c *checker) forget() {
	c.tat.SetInt64(0)
	c.admits, c.end = nil, 0
}

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }

// The checker says what looking at every interval says.
func TestTheCheckerLooksAtEveryInterval(t *testing.T) {
	rng, bad := rand.New(rand.NewPCG(1, 2)), 0
	for range 2000 {
		l := Limit{Count: 1 + rng.Int64N(9), Per: time.Duration(1 + rng.Int64N(9)), Burst: 1 + rng.Int64N(9)}
		c, now := newChecker(l), int64(0)
		var admits []admitted
		worst := new(big.Int)
		for range rng.IntN(20) {
			now += rng.Int64N(4) * rng.Int64N(5)
			a := admitted{now, rng.Int64N(4)}
			c.admit(a.at, a.n)
			admits = append(admits, a)
			sum := int64(0)
			for i := len(admits) - 1; i >= 0; i-- {
				sum += admits[i].n
				over := product(sum-l.Burst, int64(l.Per))
				if over.Sub(over, product(now-admits[i].at, l.Count)).Cmp(worst) > 0 {
					worst.Set(over)
				}
			}
		}
		if c.excess.Cmp(worst) != 0 {
			t.Fatalf("%+v, %v: %v too much, want %v", l, admits, c.excess, worst)
		}
		if worst.Sign() > 0 {
			bad++
		}
	}
	if bad < 200 || bad > 1800 {
		t.Errorf("a poor sample: %d of 2000 are bad", bad)
	}
}
