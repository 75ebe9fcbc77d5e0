// Package pace sends load in an open loop: calls begin when they are due, whether or not
// earlier ones have been answered, as users don't wait for each other. So a system that
// stalls isn't asked less, and the time that a call takes counts from when it was due:
// what it spent waiting to be sent is part of its latency.
//
// A load generator that waits for answers before it asks on (a closed loop) leaves
// exactly the bad moments out of its figures, which is known as coordinated omission:
// while it waits for one slow answer it doesn't send what would have been slow, too.
//
// A [Plan] says how much, and [Run] carries it out. Keys are numbers, drawn evenly or
// with a [Zipf] skew; [Latency] is a histogram of constant size, and [Top] keeps the
// largest counters of very many.
package pace

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of a plan. MaxRate is what a demo's two cores can send and decide.
const (
	MaxRate     = 20_000
	MaxKeys     = 100_000
	MaxSkew     = 3
	MaxDuration = 10 * time.Minute
	// MaxCalls is how many calls may be under way at a time.
	MaxCalls = 8192
)

// Plan is a load: Rate calls per second for a Duration, over that many Keys. The key of
// rank k gets a share of 1/k^Skew: with 0 all get the same.
type Plan struct {
	Rate     int
	Keys     int
	Skew     float64
	Duration time.Duration
}

// Check names the first number that is out of its range; field is what the caller calls
// one of rate, keys, skew and duration.
func (p Plan) Check(field func(string) string) error {
	switch {
	case p.Rate < 1 || p.Rate > MaxRate:
		return fmt.Errorf("%s %d is not between 1 and %d calls per second", field("rate"), p.Rate, MaxRate)
	case p.Keys < 1 || p.Keys > MaxKeys:
		return fmt.Errorf("%s %d is not between 1 and %d", field("keys"), p.Keys, MaxKeys)
	case math.IsNaN(p.Skew) || p.Skew < 0 || p.Skew > MaxSkew:
		return fmt.Errorf("%s %v is not between 0 (all keys alike) and %d", field("skew"), p.Skew, MaxSkew)
	case p.Duration <= 0 || p.Duration > MaxDuration:
		return fmt.Errorf("%s %v is not above 0s and up to %v", field("duration"), p.Duration, MaxDuration)
	}
	return nil
}

// Calls is how many calls the plan has.
func (p Plan) Calls() int64 {
	return int64(p.Rate) * int64(p.Duration) / int64(time.Second)
}

// due is when a call is to begin, after the first.
func (p Plan) due(i int64) time.Duration {
	return time.Duration(i * int64(time.Second) / int64(p.Rate))
}

// Run makes the calls of a plan, each in a goroutine of its own, and returns when all
// have ended. It makes no more once ctx is done. A call is dropped when MaxCalls are
// under way; the number of those is returned.
func Run(ctx context.Context, p Plan, call func(i int64, due time.Time)) (dropped int64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var under atomic.Int64
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range p.Calls() {
		due := began.Add(p.due(i))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return dropped
		}
		if under.Load() >= MaxCalls {
			dropped++
			continue
		}
		under.Add(1)
		wg.Go(func() {
			defer under.Add(-1)
			call(i, due)
		})
	}
	return dropped
}
