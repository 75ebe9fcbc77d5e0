package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// balance is a load balancer on its own, in front of replicas that it finds.
type balance struct {
	balancer *balancer
	lookout  *lookout
	names    []string
	ending   atomic.Bool // no longer ready
	linger   time.Duration
}

// startBalance listens, and begins to look for replicas.
func startBalance(_ context.Context, c balanceConfig) (*balance, error) {
	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		return nil, err
	}
	return startBalanceOn(l, c, net.DefaultResolver.LookupHost), nil
}

// startBalanceOn is startBalance for a listener that is there, and a resolver.
func startBalanceOn(l net.Listener, c balanceConfig, resolve resolver) *balance {
	b := &balance{names: c.replicas, linger: c.linger}
	replicas := newUpstreams(nil)
	b.lookout = newLookout(c.replicas, resolve, replicas.set, c.log)
	replicas.lost = b.lookout.lost
	b.balancer = newBalancer(l, replicas, nil, b.ready, nil, c.log)
	b.lookout.start()
	return b
}

// ready reports whether it should be sent requests: it has somebody to send them to.
func (b *balance) ready() bool { return !b.ending.Load() && len(b.lookout.ready()) > 0 }

func (b *balance) announce(w io.Writer) {
	fmt.Fprintf(w, "load balancer: http://%s, looking for replicas at %s\n", b.balancer.server.address(), strings.Join(b.names, ", "))
}

// wait waits for the first replica, however long that takes: in a deployment they
// start whenever they do. Until then each request gets a 503.
func (b *balance) wait(ctx context.Context) error { return poll(ctx, b.ready) }

func (b *balance) welcome(w io.Writer) {
	fmt.Fprintf(w, "ready: %s\n", count(len(b.lookout.ready()), "replica"))
}

// close says that the balancer is no longer ready, gives those in front of it the time
// to notice, and answers the requests under way.
func (b *balance) close(ctx context.Context) error {
	b.ending.Store(true)
	hold(ctx, b.linger)
	err := b.balancer.close(ctx)
	b.lookout.close()
	return err
}
