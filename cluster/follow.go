package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

const (
	// quiet is how long nothing must have happened before a new view is built,
	// so that a burst of changes makes one, and patience how long at most that
	// is waited for.
	quiet    = 50 * time.Millisecond
	patience = 500 * time.Millisecond

	// A peer that has left something unanswered for its HitTimeout, within these
	// bounds, isn't asked until it answers.
	minSilence, maxSilence = 100 * time.Millisecond, time.Second

	// retireTime is how long at least the way to a member that has gone stays
	// open for the hits that are on it.
	retireTime = time.Second
	// mistakenTime is how long it does to a member that seems to be well.
	mistakenTime = 30 * time.Second
)

// follow publishes a new view after every change that gossip reports.
func (n *Node) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.gossip.kick:
		}
		n.settle(ctx)
		if ctx.Err() != nil {
			return
		}
		boots := n.boots()
		if len(boots) == 0 && n.closing.Load() {
			continue // everybody has left at once
		}
		if err := n.publish(ctx, boots); err != nil {
			n.config.Log.Error("keeping the former view of the cluster", "members", len(boots), "error", err)
			continue
		}
		n.meet(boots)
	}
}

// meet notes that somebody else has been there. That comes after the view that
// says so: until then tokens would still be made in a view of this node alone, which
// makes all of them at once.
func (n *Node) meet(boots []*member) {
	if len(boots) > 1 {
		n.gossip.joined.Store(true)
	}
}

// settle waits until changes have ceased for a moment.
func (n *Node) settle(ctx context.Context) {
	enough := time.After(patience)
	for {
		select {
		case <-n.gossip.kick:
			continue
		case <-time.After(quiet):
		case <-enough:
		case <-ctx.Done():
		}
		return
	}
}

// publish makes the view of these boots the node's, if it differs. Only one
// goroutine calls it at a time.
func (n *Node) publish(ctx context.Context, boots []*member) error {
	next, err := newView(boots)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	last := n.view.Load()
	if last != nil && next.same(last) {
		return nil
	}
	for _, m := range next.members {
		m.peer = n.way(m, last)
	}
	next.inherit(last)
	n.view.Store(next)
	if n.gossip != nil {
		n.parts.see(next, n.now())
		n.kick()
	}
	n.changed.Store(n.now())
	n.config.Log.Info("view of the cluster changed", "members", len(next.members), "table", fmt.Sprintf("%016x", next.table.Hash()))
	if last == nil {
		return nil
	}
	n.retire(ctx, last, next)
	if n.gossip != nil && !n.closing.Load() && next.boot(n.gossip.boot) == nil && last.boot(n.gossip.boot) != nil {
		n.config.Log.Error("a newer replica has taken this one's name; give each its own Config.Name", "name", n.config.Name)
	}
	return nil
}

// way returns the peer of a member: the one there is, a new one, or none for
// this node itself.
func (n *Node) way(m *member, last *view) *transport.Peer {
	if n.gossip == nil || m.boot == n.gossip.boot {
		return nil
	}
	if last != nil {
		if known := last.boot(m.boot); known != nil && known.address == m.address {
			return known.peer
		}
	}
	var secure func() (*tls.Config, error)
	if n.trust != nil {
		secure = n.trust.client(m.print)
	}
	return transport.Dial(transport.PeerConfig{
		Address: m.address,
		TLS:     secure,
		Dial:    n.dial,
		Now:     n.now,
		Hello:   n.hello,
		Log:     n.config.Log,
		Boot:    uint64(m.id),
		Meter:   &n.meter,

		Panicked: n.mishap,
		Silence:  min(max(minSilence, n.config.HitTimeout), maxSilence),
	})
}

// dial connects to a peer.
func (n *Node) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	if !n.survives("Config.Network.Dial", func() { conn, err = n.config.Network.Dial(ctx, address) }) {
		return nil, errPanic
	}
	return conn, err
}

// inherit keeps those who were members of the last view and may be still.
func (v *view) inherit(last *view) {
	if last == nil {
		return
	}
	for _, m := range last.members {
		if m.peer != nil && v.byID[m.id] == nil {
			v.former[m.id] = m
		}
	}
	for id, m := range last.former {
		if v.byID[id] == nil && m.alive() {
			v.former[id] = m
		}
	}
}

// retire closes the peers that the next view has no more, after a while: a long one
// if they seem to be well, for then gossip is mistaken.
func (n *Node) retire(ctx context.Context, last, next *view) {
	for _, m := range last.members {
		if still := next.boot(m.boot); m.peer == nil || still != nil && still.peer == m.peer {
			continue
		}
		n.once("retiring a peer", func() {
			until := n.now() + int64(mistakenTime)
			sleep(ctx, max(retireTime, n.config.HitTimeout))
			for m.peer.Alive() && n.now() < until && ctx.Err() == nil {
				sleep(ctx, retireTime)
			}
			m.peer.Close()
		})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
