package transport_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// owner is a store behind a Server on loopback, and peer the way to it.
type owner struct {
	noCalls
	store *bucket.Store
	base  time.Time
}

func (o *owner) Now() int64 { return int64(time.Since(o.base)) }

func (o *owner) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	a.Verdict = o.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
}

func benchmarkPeer(b *testing.B) (*transport.Peer, *owner) {
	o := &owner{store: bucket.NewStore(bucket.StoreConfig{}), base: time.Now()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := transport.NewServer(o, hello, nil)
	go server.Serve(l)
	var d net.Dialer
	peer := transport.Dial(transport.PeerConfig{
		Address: l.Addr().String(),
		Now:     o.Now,
		Hello:   hello,
		Dial: func(ctx context.Context, a string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", a)
		},
	})
	b.Cleanup(func() { peer.Close(); server.Close() })
	return peer, o
}

// BenchmarkAsk measures a decision that is forwarded over loopback within one
// process, by the number of callers. The figures of two processes are those of
// test/bench.
func BenchmarkAsk(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256, 1024} {
		b.Run("callers="+strconv.Itoa(callers), func(b *testing.B) {
			peer, o := benchmarkPeer(b)
			rule := bucket.MustRule("api", "1000000/second")
			ask := func(key string) error {
				hit := transport.Hit{Digest: o.store.Digest(rule, key), Rule: rule, Tokens: 1}
				_, err := ask(peer, hit, o.Now()+int64(time.Second))
				return err
			}
			if err := ask("first"); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				key := fmt.Sprint("key ", i)
				wg.Go(func() {
					for n := i; n < b.N; n += callers {
						if err := ask(key); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
