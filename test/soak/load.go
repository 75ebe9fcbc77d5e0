package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

const (
	hotKeys    = 4
	steadyKeys = 2000
	idleKeys   = 3000
	idleTime   = time.Minute

	// pace is how often some hits are due: few enough at a time to be no burst.
	pace = 10 * time.Millisecond
)

// load has the node decide about keys of all kinds, until ctx is done.
func load(ctx context.Context, node *cluster.Node, rate int, did *tally) {
	hot, steady := bucket.MustRule("hot", "1000/second"), bucket.MustRule("steady", "5/second; 100/minute")
	idle, attack := bucket.MustRule("idle", "10/hour"), bucket.MustRule("attack", "1/second; penalty 3/minute")
	take := func(rule *bucket.Rule, key string) {
		d, err := node.Take(ctx, rule, key, 1)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			did.errors.Add(1)
		case d.Degraded:
			did.degraded.Add(1)
		}
		did.decisions.Add(1)
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	began, turn, idled := time.Now(), 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for range int(int64(rate) * int64(pace) / int64(time.Second)) {
			switch turn++; turn % 3 {
			case 0:
				take(hot, "hot "+strconv.Itoa(turn%hotKeys))
			case 1:
				take(steady, "steady "+strconv.Itoa(rand.N(steadyKeys)))
			default:
				take(attack, fmt.Sprintf("attack %x", rand.Uint64()))
			}
		}
		for due := int(time.Since(began) * idleKeys / idleTime); idled < due; idled++ {
			take(idle, "idle "+strconv.Itoa(idled%idleKeys))
		}
	}
}
