package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	closeTime     = 10 * time.Second       // bounds a Close whose context doesn't
	lookTime      = 10 * time.Millisecond  // how often a leaver looks whether it may go
	knowTime      = 2 * time.Second        // how long it waits for others to know whom it knows
	companyTime   = time.Second            // how long it looks for somebody to hand over to
	minLinger     = 100 * time.Millisecond // how long it answers those who haven't heard
	maxLinger     = time.Second
	farewellAlone = 100 * time.Millisecond // how long it says farewell where nobody can be reached
)

var errNobody = errors.New("cluster: nobody can be reached to hand partitions over to")

// leave hands over everything and says farewell.
func (n *Node) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	if ctx.Err() != nil {
		return n.gossip.leave(ctx)
	}
	n.giveBack()
	err := n.handOver(ctx)
	if err != nil {
		n.config.Log.Warn("leaving before everything was handed over", "error", err)
	}
	alone := err == nil && n.others() == 0 // or all leave: nobody has to hear of it
	if alone || errors.Is(err, errNobody) {
		ctx, cancel = context.WithTimeout(ctx, farewellAlone)
		defer cancel()
	}
	farewell := n.gossip.leave(ctx)
	if alone {
		return nil
	}
	return errors.Join(err, farewell)
}

// handOver gives every token away and waits until it is safe to go.
func (n *Node) handOver(ctx context.Context) error {
	if n.others() == 0 {
		return nil
	}
	n.gossip.announce()
	began := n.now()
	company := began
	for n.others() > 0 {
		now := n.now()
		if n.empty() && (n.understood() || now-began > int64(knowTime)) {
			sleep(ctx, min(max(minLinger, 2*n.config.HitTimeout), maxLinger))
			return nil
		}
		if n.company() {
			company = now
		} else if now-company > int64(companyTime) {
			return errNobody
		}
		sleep(ctx, lookTime)
		if ctx.Err() != nil {
			return fmt.Errorf("cluster: partitions were not handed over: %w", context.Cause(ctx))
		}
	}
	return nil
}

// others is the number of members that stay.
func (n *Node) others() (count int) {
	for _, m := range n.view.Load().members {
		if m.peer != nil && !m.leaving {
			count++
		}
	}
	return count
}

// company reports whether any other that stays can be reached.
func (n *Node) company() bool {
	for _, m := range n.view.Load().members {
		if m.peer != nil && !m.leaving && m.alive() {
			return true
		}
	}
	return false
}

// empty reports whether this node is needed no more: it is seen as leaving, and has
// neither a token nor the only copy of one.
func (n *Node) empty() bool {
	m := n.view.Load().byID[n.parts.self]
	return (m == nil || m.leaving) && n.parts.empty()
}

// understood reports whether everybody who can be reached knows whom this node
// knows: a member that only this one had met must not be forgotten with it.
func (n *Node) understood() bool {
	v := n.view.Load()
	for _, m := range v.members {
		if m.peer == nil || !m.alive() {
			continue
		}
		if sight, heard := m.peer.Sight(); heard == 0 || sight.View != v.hash {
			return false
		}
	}
	return true
}
