package main

import (
	"context"
	"strconv"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// redisRate is what Go services with a Redis mostly use: one script (GCRA) and one
// round trip a decision, on a connection of a pool.
type redisRate struct{ *external }

func (redisRate) connect(ctx context.Context, address string, keys int) (asker, error) {
	a := &redisRateAsker{client: redis.NewClient(&redis.Options{Addr: address, PoolSize: 64, MinIdleConns: 16}), keys: keyNames(keys)}
	a.limiter = redis_rate.NewLimiter(a.client)
	return answering(ctx, a)
}

type redisRateAsker struct {
	client  *redis.Client
	limiter *redis_rate.Limiter
	keys    []string
}

func (a *redisRateAsker) ask(i int) error {
	r, err := a.limiter.Allow(context.Background(), a.keys[i], redis_rate.PerHour(100_000_000))
	if err == nil && r.Allowed == 0 {
		err = errRefused
	}
	return err
}

func (a *redisRateAsker) check() error { return nil }
func (a *redisRateAsker) close()       { _ = a.client.Close() }

// pipelined is what a careful engineer would write: a client that puts the commands of
// all callers into one pipe, so that a system call carries many. script is run
// for each decision or, if it is "", the least that can limit anything, INCR.
type pipelined struct {
	*external
	script string
}

// gcraScript is the arithmetic of redis_rate's, without what it returns for headers.
const gcraScript = `
local interval, span = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call("TIME")
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local tat = math.max(tonumber(redis.call("GET", KEYS[1]) or now), now) + interval
if tat - now > span then return -1 end
redis.call("SET", KEYS[1], string.format("%.0f", tat), "PX", math.ceil((tat - now) / 1000) + 1)
return math.floor((span - (tat - now)) / interval)`

func (p pipelined) connect(ctx context.Context, address string, keys int) (asker, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, DisableCache: true, AlwaysPipelining: true, ForceSingleClient: true,
	})
	if err != nil {
		return nil, err
	}
	a := &pipelinedAsker{client: client, keys: keyNames(keys)}
	if p.script != "" {
		a.script = rueidis.NewLuaScript(p.script)
	}
	return answering(ctx, a)
}

type pipelinedAsker struct {
	client rueidis.Client
	script *rueidis.Lua // nil for INCR
	keys   []string
}

// A token every 36 µs, and at most a hundred million of them.
var gcraArgs = []string{strconv.Itoa(36), strconv.Itoa(3_600_000_000)}

func (a *pipelinedAsker) ask(i int) error {
	ctx := context.Background()
	var result rueidis.RedisResult
	if a.script != nil {
		result = a.script.Exec(ctx, a.client, a.keys[i:i+1], gcraArgs)
	} else {
		result = a.client.Do(ctx, a.client.B().Incr().Key(a.keys[i]).Build())
	}
	n, err := result.AsInt64()
	if err == nil && n < 0 {
		err = errRefused
	}
	return err
}

func (a *pipelinedAsker) check() error { return nil }
func (a *pipelinedAsker) close()       { a.client.Close() }
