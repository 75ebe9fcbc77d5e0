package transport_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

const roundTrip = 2 * simnet.DefaultLatency

var (
	hello = transport.Hello{Cluster: "test", Fingerprint: 7, Boot: 0xa}
	rule  = bucket.MustRule("api", "100/second")
)

// world is an asker and an owner, on a network of their own in a bubble.
type world struct {
	*testing.T
	net          *simnet.Net
	asker, owner *simnet.Host
	now          transport.Clock // the asker's
	dials        atomic.Int64    // attempts to connect
}

func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(simnet.Drain)
		n := simnet.New(simnet.Options{})
		began := time.Now()
		f(&world{
			T: t, net: n, asker: n.Host("10.0.0.1"), owner: n.Host("10.0.0.2"),
			now: func() int64 { return int64(time.Since(began)) },
		})
	})
}

// serve starts the owner's Server.
func (w *world) serve(h transport.Handler, hello transport.Hello) *transport.Server {
	w.Helper()
	l, err := w.owner.Listen(":7947")
	if err != nil {
		w.Fatal(err)
	}
	s := transport.NewServer(h, hello, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	w.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) { // which Kill makes it
			w.Errorf("Serve returned %v", err)
		}
	})
	return s
}

// dial starts the asker's Peer. Each change is made to its configuration.
func (w *world) dial(changes ...func(*transport.PeerConfig)) *transport.Peer {
	c := transport.PeerConfig{
		Address: "10.0.0.2:7947",
		Now:     w.now,
		Hello:   hello,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			w.dials.Add(1)
			return w.asker.Dial(ctx, address)
		},
	}
	for _, change := range changes {
		change(&c)
	}
	p := transport.Dial(c)
	w.Cleanup(p.Close)
	return p
}

// silence makes a peer bear a silence of d.
func silence(d time.Duration) func(*transport.PeerConfig) {
	return func(c *transport.PeerConfig) { c.Silence = d }
}

// from makes a peer ask in the name of a boot.
func from(boot uint64) func(*transport.PeerConfig) {
	return func(c *transport.PeerConfig) { c.Hello.Boot = boot }
}

// dialSlowly makes every attempt to connect take some time.
func dialSlowly(d time.Duration) func(*transport.PeerConfig) {
	return func(c *transport.PeerConfig) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			select {
			case <-time.After(d):
				return dial(ctx, address)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// ask asks for hit i, with a second's time, and wants its echo or one of the
// errors.
func (w *world) ask(p *transport.Peer, i int, or ...error) error {
	w.Helper()
	return w.askBy(p, i, w.now()+int64(time.Second), or...)
}

func (w *world) askBy(p *transport.Peer, i int, expire int64, or ...error) error {
	w.Helper()
	a, err := ask(p, hit(i), expire)
	if err == nil && a.Number == 0 {
		w.Errorf("hit %d has no number", i)
	}
	a.Number, a.At = 0, 0
	switch {
	case err == nil && a != transport.Answer{Verdict: echoed(hit(i))}:
		w.Errorf("hit %d was answered %+v, the answer to another", i, a)
	case err != nil && !slices.ContainsFunc(or, func(o error) bool { return errors.Is(err, o) }):
		w.Errorf("hit %d: %v", i, err)
	}
	return err
}

// ask is Peer.Ask with values.
func ask(p *transport.Peer, h transport.Hit, expire int64) (transport.Answer, error) {
	c := new(transport.Calls).Get()
	c.Hit = h
	err := p.Ask(c, expire)
	return c.Answer, err
}

// took wants f to take d of the bubble's time, or up to d+more.
func (w *world) took(d, more time.Duration, f func()) {
	w.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took < d || took > d+more {
		w.Errorf("took %v, want %v to %v", took, d, d+more)
	}
}

func hit(i int) transport.Hit {
	return transport.Hit{Digest: bucket.Digest{Hi: uint64(i) << 32, Lo: uint64(i)}, Rule: rule, Tokens: int64(i) * 7}
}

// echo decides a hit by saying it back, so that a mix-up of answers shows. Its
// clock is an hour ahead of the asker's.
type echo struct {
	noCalls
	w       *world
	decided atomic.Int64
}

func (e *echo) Now() int64 { return e.w.now() + int64(time.Hour) }

func (e *echo) Decide(h *transport.Hit, _ int64, a *transport.Answer) {
	e.decided.Add(1)
	a.Verdict = echoed(*h)
}

// noCalls is the part of a Handler that takes no calls, and sees nothing.
type noCalls struct{}

func (noCalls) Sight() transport.Sight { return transport.Sight{} }

func (noCalls) Call(context.Context, uint64, uint8, []byte) ([]byte, error) {
	return nil, errors.New("no calls")
}

func echoed(h transport.Hit) bucket.Verdict {
	v := bucket.Verdict{
		Allowed:    h.Digest.Lo%2 == 0,
		Degraded:   h.Digest.Lo%3 == 0,
		Limit:      uint8(h.Digest.Lo),
		Remaining:  int64(h.Digest.Lo),
		ResetAfter: time.Duration(h.Digest.Hi),
	}
	if wait := time.Duration(h.Tokens); v.Allowed {
		v.Delay = wait
	} else {
		v.RetryAfter = wait
	}
	return v
}
