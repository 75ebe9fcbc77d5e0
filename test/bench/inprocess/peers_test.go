// Package inprocess compares a decision where it is asked, without any network, with
// the limiters for one process that Go services use: the same keys, in the same order,
// by one goroutine a core. Every limit is so high that all pass.
//
// What is measured is what a service would call for each request: the node's Take,
// with its digest, its clock and its headers' figures, beside each peer's own call
// with the same key. Peers that know only one limit get a map of them, as their users
// write it.
//
// The clock is part of it, as each reads its own. No figure says how a peer behaves
// where it does more than count in one process.
//
//	go test -bench . -cpu 1,2 -count 5 ./inprocess
package inprocess

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// burst is every limit's, at a token a second: high enough that nobody is refused, low
// enough for whoever counts in 32 bits, and so slow that no bucket is ever full.
const (
	burst = 1_000_000_000
	limit = "1/second burst 1000000000"
)

// take decides on one hit of a key, in a goroutine of its own, and reports whether it
// may pass.
type take func(key string) bool

// system is a limiter, made anew for each measurement; it returns a maker of takes,
// one for each goroutine.
type system struct {
	name string
	open func(b *testing.B) func() take
}

func systems() []system {
	return []system{
		{"shoal", openNode},
		{"shoal-store", openStore},
		{"x-time-rate", openTimeRate},
		{"go-limiter", openGoLimiter},
		{"throttled", openThrottled},
		{"httprate", openHTTPRate},
		{"ulule", openUlule},
	}
}

func openNode(b *testing.B) func() take {
	n, err := cluster.Start(b.Context(), cluster.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = n.Close(context.Background()) })
	rule, ctx := bucket.MustRule("api", limit), context.Background()
	return func() take {
		return func(key string) bool {
			d, err := n.Take(ctx, rule, key, 1)
			return err == nil && d.Allowed
		}
	}
}

// openStore is what a program without a cluster would write around package bucket.
func openStore(*testing.B) func() take {
	store, rule, began := bucket.NewStore(bucket.StoreConfig{}), bucket.MustRule("api", limit), time.Now()
	return func() take {
		return func(key string) bool { return store.Take(rule, key, 1, int64(time.Since(began))).Allowed }
	}
}

// openTimeRate is the map of limiters that tutorials show, with a lock that readers
// share.
func openTimeRate(*testing.B) func() take {
	var mu sync.RWMutex
	limiters := map[string]*rate.Limiter{}
	return func() take {
		return func(key string) bool {
			mu.RLock()
			l := limiters[key]
			mu.RUnlock()
			if l == nil {
				mu.Lock()
				if l = limiters[key]; l == nil {
					l = rate.NewLimiter(1, burst)
					limiters[key] = l
				}
				mu.Unlock()
			}
			return l.Allow()
		}
	}
}

func openGoLimiter(b *testing.B) func() take {
	store, err := memorystore.New(&memorystore.Config{Tokens: burst, Interval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.Cleanup(func() { _ = store.Close(ctx) })
	return func() take {
		return func(key string) bool {
			_, _, _, ok, err := store.Take(ctx, key)
			return err == nil && ok
		}
	}
}

func openThrottled(b *testing.B) func() take {
	store, err := memstore.NewCtx(0) // without its list of the least recently used: faster
	if err != nil {
		b.Fatal(err)
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerSec(1), MaxBurst: burst})
	if err != nil {
		b.Fatal(err)
	}
	l.SetMaxCASAttemptsLimit(1000) // or it gives up where two cores take the same key
	ctx := context.Background()
	return func() take {
		return func(key string) bool {
			limited, _, err := l.RateLimitCtx(ctx, key, 1)
			return err == nil && !limited
		}
	}
}

// openHTTPRate has no call without a response, so it gets one for each goroutine that
// nobody reads.
func openHTTPRate(*testing.B) func() take {
	l := httprate.NewRateLimiter(burst, time.Hour)
	return func() take {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		return func(key string) bool { return !l.OnLimit(w, r, key) }
	}
}

func openUlule(*testing.B) func() take {
	l := ulule.New(memory.NewStore(), ulule.Rate{Period: time.Hour, Limit: burst})
	ctx := context.Background()
	return func() take {
		return func(key string) bool {
			c, err := l.Get(ctx, key)
			return err == nil && !c.Reached
		}
	}
}
