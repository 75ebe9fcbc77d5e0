package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// system is one way to have hits decided by another process.
type system interface {
	// serve starts the owner's end, in the owner process, and returns the
	// address at which it is asked and what stops it.
	serve() (address string, stop func(), err error)
	// connect starts the asker's end, in this process, and returns when hits on
	// that many keys are decided by the owner. ctx bounds the start alone.
	connect(ctx context.Context, address string, keys int) (asker, error)
}

// asker is the asker's end of a system.
type asker interface {
	// ask has one hit on the i-th key decided. An error means a decision that
	// doesn't count: refused, or not made by the owner. It is safe for
	// concurrent use, and returns soon after the owner's death.
	ask(i int) error
	// check reports what makes the decisions so far worthless, if anything
	// does that ask can't see.
	check() error
	close()
}

// entry is a system with its name and a line for the help.
type entry struct {
	name, about string
	system
}

// missing says what the system needs that isn't there, or nothing.
func (e entry) missing() string {
	if needs, ok := e.system.(interface{ missing() string }); ok {
		return needs.missing()
	}
	return ""
}

func systems() []entry {
	return []entry{
		{"shoal", "cluster.Node.Take, for keys that the other node owns, with mutual TLS", shoal{secure: true}},
		{"shoal-plain", "the same without TLS", shoal{}},
		{"shoal-transport", "transport.Peer.Ask alone, with mutual TLS", peerOnly{secure: true}},
		{"transport-plain", "the same without TLS", peerOnly{}},
		{"tcp", "the same batching over bare TCP, with mutual TLS: the machine's limit", tcp{secure: true}},
		{"tcp-plain", "the same without TLS", tcp{}},
		{"tcp-idle", "tcp without digests and decisions", tcp{secure: true, idle: true}},
		{"stream-echo", "a bare gRPC stream that says as many bytes back, with mutual TLS", streamEcho{secure: true}},
		{"stream-plain", "the same without TLS", streamEcho{}},
		{"unary", "a plain unary gRPC method with default options", unary{}},
		{"redis_rate", "go-redis/redis_rate: a script in Redis, one round trip a decision", redisRate{redisServer()}},
		{"redis-pipelined", "the same arithmetic in Redis, all callers' commands in one pipe", pipelined{redisServer(), gcraScript}},
		{"redis-incr", "a bare INCR in Redis, all callers' commands in one pipe", pipelined{redisServer(), ""}},
		{"httprate-redis", "go-chi/httprate with its counters in Redis", httprateRedis{redisServer()}},
		{"memcached", "a bare incr in memcached, one round trip a decision", memcached{memcachedServer()}},
	}
}

func findSystem(name string) (entry, error) {
	var names []string
	for _, e := range systems() {
		if e.name == name {
			return e, nil
		}
		names = append(names, e.name)
	}
	return entry{}, fmt.Errorf("%q is none of %s", name, strings.Join(names, ", "))
}

// benchRule is the rule of every hit. It is never reached, and gives so little
// back that no bucket is ever full: a full one would be dropped and made again.
func benchRule() *bucket.Rule { return bucket.MustRule("bench", "1000000000 per 365 days") }

// answering returns the asker when it has had a hit decided, or closes it if ctx ends
// before that.
func answering(ctx context.Context, a asker) (asker, error) {
	if err := retry(ctx, func() error { return a.ask(0) }); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func keyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = keyName(i)
	}
	return names
}

func keyName(i int) string { return fmt.Sprintf("user-%d", i) }

// decider is the owner of the systems that are no cluster.
type decider struct {
	store   *bucket.Store
	started time.Time
}

func newDecider() decider {
	return decider{bucket.NewStore(bucket.StoreConfig{}), time.Now()}
}

func (d decider) Now() int64 { return int64(time.Since(d.started)) }

func (d decider) Sight() transport.Sight { return transport.Sight{} }

func (d decider) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	a.Verdict = d.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
}

func (d decider) Call(context.Context, uint64, uint8, []byte) ([]byte, error) {
	return nil, errors.New("nobody calls")
}
