package main

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// peerOnly is Shoal's transport without its cluster.
type peerOnly struct{ secure bool }

func (s peerOnly) serve() (address string, stop func(), err error) {
	config, err := s.config()
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := transport.NewServer(newDecider(), transport.Hello{Boot: 1}, config)
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), server.Close, nil
}

// config is nil without TLS.
func (s peerOnly) config() (*tls.Config, error) {
	if !s.secure {
		return nil, nil
	}
	return mutual()
}

func (s peerOnly) connect(ctx context.Context, address string, keys int) (asker, error) {
	a := &peerAsker{decider: newDecider(), rule: benchRule(), keys: keyNames(keys)}
	var secure func() (*tls.Config, error)
	if s.secure {
		secure = s.config
	}
	var d net.Dialer
	a.peer = transport.Dial(transport.PeerConfig{
		Address: address,
		Dial:    func(ctx context.Context, to string) (net.Conn, error) { return d.DialContext(ctx, "tcp", to) },
		Now:     a.Now,
		Hello:   transport.Hello{Boot: 2},
		TLS:     secure,
	})
	return answering(ctx, a)
}

type peerAsker struct {
	decider // for its clock and its digests
	peer    *transport.Peer
	calls   transport.Calls
	rule    *bucket.Rule
	keys    []string
}

// hitTimeout is that of cluster.Node.Take.
const hitTimeout = int64(48 * time.Millisecond)

func (a *peerAsker) ask(i int) error {
	c := a.calls.Get()
	c.Hit.Digest, c.Hit.Rule, c.Hit.Tokens = a.store.Digest(a.rule, a.keys[i]), a.rule, 1
	err := a.peer.Ask(c, a.Now()+hitTimeout)
	if err == nil && !c.Answer.Verdict.Allowed {
		err = errRefused
	}
	a.calls.Put(c)
	return err
}

func (a *peerAsker) check() error { return nil }

func (a *peerAsker) close() { a.peer.Close() }
