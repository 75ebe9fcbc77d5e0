package main

import (
	"context"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// memcached counts in it, one incr a decision, as Flask-Limiter's and envoyproxy's
// memcached backends do.
type memcached struct{ *external }

func (memcached) connect(ctx context.Context, address string, keys int) (asker, error) {
	a := &memcachedAsker{client: memcache.New(address), keys: keyNames(keys)}
	a.client.MaxIdleConns, a.client.Timeout = 64, time.Second
	for _, key := range a.keys {
		err := retry(ctx, func() error { return a.client.Set(&memcache.Item{Key: key, Value: []byte("0")}) })
		if err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

type memcachedAsker struct {
	client *memcache.Client
	keys   []string
}

func (a *memcachedAsker) ask(i int) error {
	_, err := a.client.Increment(a.keys[i], 1)
	return err
}

func (a *memcachedAsker) check() error { return nil }
func (a *memcachedAsker) close()       { _ = a.client.Close() }
