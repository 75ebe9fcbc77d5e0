package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// decider decides hits by a store of its own.
type decider struct {
	store *bucket.Store
	began time.Time
}

func (o decider) Now() int64             { return int64(time.Since(o.began)) }
func (o decider) Sight() transport.Sight { return transport.Sight{} }

func (o decider) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	if h.Count > 1 { // equal hits of one frame
		o.store.TakeRun(a.Run, nil, h.Rule, h.Digest, h.Tokens, h.Count, now, 1)
		return
	}
	a.Verdict = o.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
}

func (decider) Call(context.Context, uint64, uint8, []byte) ([]byte, error) {
	return nil, errors.New("nobody calls")
}

// Hits of one replica are decided by another, over a connection on this host.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	o := decider{bucket.NewStore(bucket.StoreConfig{}), time.Now()}
	var plain *tls.Config // nil: no encryption
	server := transport.NewServer(o, transport.Hello{Boot: 1}, plain)
	go func() { _ = server.Serve(l) }()
	defer server.Close()

	peer := transport.Dial(transport.PeerConfig{
		Address: l.Addr().String(),
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		Now:   o.Now,
		Hello: transport.Hello{Boot: 2},
	})
	defer peer.Close()

	rule := bucket.MustRule("api", "2/hour")
	hit := transport.Hit{Digest: o.store.Digest(rule, "alice"), Rule: rule, Tokens: 1}
	var calls transport.Calls
	for asked := 0; asked < 3; {
		c := calls.Get()
		c.Hit = hit
		err := peer.Ask(c, o.Now()+int64(time.Minute))
		answer := c.Answer
		calls.Put(c)
		if errors.Is(err, transport.ErrUnavailable) {
			continue // not connected yet
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Verdict.Allowed)
		asked++
	}
	// Output:
	// true
	// true
	// false
}
