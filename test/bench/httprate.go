package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/go-chi/httprate"
	httprateredis "github.com/go-chi/httprate-redis"
	"github.com/redis/go-redis/v9"
)

// httprateRedis is the middleware of chi with its counters in Redis: two windows, so
// several commands a decision.
type httprateRedis struct{ *external }

func (httprateRedis) connect(ctx context.Context, address string, keys int) (asker, error) {
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: 64, MinIdleConns: 16})
	counter, err := httprateredis.NewRedisLimitCounter(&httprateredis.Config{Client: client, FallbackDisabled: true})
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	a := &httprateAsker{client: client, keys: keyNames(keys)}
	a.limiter = httprate.NewRateLimiter(1_000_000_000, time.Hour, httprate.WithLimitCounter(counter))
	a.callers.New = func() any { return httptest.NewRecorder() }
	a.request = httptest.NewRequest(http.MethodGet, "/", nil)
	return answering(ctx, a)
}

type httprateAsker struct {
	client  *redis.Client
	limiter *httprate.RateLimiter
	request *http.Request
	callers sync.Pool // *httptest.ResponseRecorder
	keys    []string
}

func (a *httprateAsker) ask(i int) error {
	w := a.callers.Get().(*httptest.ResponseRecorder)
	defer a.callers.Put(w)
	clear(w.Header())
	if a.limiter.OnLimit(w, a.request, a.keys[i]) {
		return errRefused
	}
	return nil
}

func (a *httprateAsker) check() error { return nil }
func (a *httprateAsker) close()       { _ = a.client.Close() }
