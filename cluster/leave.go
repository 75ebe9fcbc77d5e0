package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/handoff"
)

const (
	closeTime = 10 * time.Second       // bounds a Close whose context doesn't
	lookTime  = 10 * time.Millisecond  // how often a leaver looks whether it may go
	knowTime  = 2 * time.Second        // how long it waits for others to know whom it knows
	linger    = 100 * time.Millisecond // how long it answers those who haven't heard
)

// leave hands over everything and says farewell.
func (n *Node) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	if ctx.Err() == nil {
		if err := n.handOver(ctx); err != nil {
			n.config.Log.Warn("leaving before everything was handed over", "error", err)
			return errors.Join(err, n.gossip.leave(ctx))
		}
	}
	return n.gossip.leave(ctx)
}

// handOver gives every token away and waits until it is safe to go.
func (n *Node) handOver(ctx context.Context) error {
	if n.alone() {
		return nil
	}
	if err := n.gossip.announce(); err != nil {
		return fmt.Errorf("cluster: announcing to leave: %w", err)
	}
	since := n.now()
	for !n.alone() && !(n.empty() && (n.understood() || n.now()-since > int64(knowTime))) {
		sleep(ctx, lookTime)
		if ctx.Err() != nil {
			return fmt.Errorf("cluster: partitions were not handed over: %w", context.Cause(ctx))
		}
	}
	if !n.alone() {
		sleep(ctx, max(linger, 2*n.config.HitTimeout))
	}
	return nil
}

// alone reports whether there is nobody to hand anything to.
func (n *Node) alone() bool {
	for _, m := range n.view.Load().members {
		if m.peer != nil && !m.leaving {
			return false
		}
	}
	return true
}

// empty reports whether this node is needed no more: it is seen as leaving, and has
// neither a token nor the only copy of one.
func (n *Node) empty() bool {
	m := n.view.Load().byID[n.parts.self]
	states, _ := n.parts.count()
	return (m == nil || m.leaving) && states[handoff.None] == len(n.parts.parts)
}

// understood reports whether everybody knows whom this node knows: a member that only
// this one had met must not be forgotten with it.
func (n *Node) understood() bool {
	own := n.parts.viewHash()
	for _, m := range n.view.Load().members {
		if m.peer == nil {
			continue
		}
		if sight, heard := m.peer.Sight(); heard == 0 || sight.View != own {
			return false
		}
	}
	return true
}
