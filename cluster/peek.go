package cluster

import (
	"context"
	"sync/atomic"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// Peek returns the decision that Take would make now, but for its receipt. It takes
// nothing, creates nothing and charges no penalty, here or at the holder of the key,
// and where the holder is this replica it allocates nothing. What else is said of
// Take holds for Peek.
//
// Of a key that is leased it shows what is left at the holder, without the tokens that
// replicas were lent, this one included, and haven't spent yet or given back: Take may
// let pass what Peek wouldn't, and what remains may rise by as much within 0.2 s after
// the last hit.
func (n *Node) Peek(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (d bucket.Decision, err error) {
	err = n.ask(ctx, &d, &question{rule: rule, key: key, tokens: tokens, how: peeking})
	return d, err
}

// decideOdd is what decide does in the rarer cases: where it only looks, where limits
// are divided, and where the hit says more.
func (n *Node) decideOdd(v *bucket.Verdict, held *atomic.Int64, h *transport.Hit, now int64, scale int) (ok bool) {
	switch {
	case h.Statement.Seq != 0:
		return n.lendSelf(v, h, now)
	case h.Refused > 0:
		n.penalize(h, now)
	}
	if h.Peek {
		*v, ok = n.store.PeekHeld(held, h.Rule, h.Digest, h.Tokens, now, scale)
		return ok
	}
	if scale <= 1 {
		return n.store.TakeHeld(v, held, h.Rule, h.Digest, h.Tokens, now)
	}
	return n.store.TakeHeldShare(v, held, h.Rule, h.Digest, h.Tokens, now, scale)
}

// penalize charges the penalties with what was refused elsewhere.
func (n *Node) penalize(h *transport.Hit, now int64) {
	if h.Refused > 0 {
		n.store.Penalize(&n.parts.held[partition(h)], h.Rule, h.Digest, h.Refused, now)
	}
}

// takeShare takes the hit, or only looks, without a condition, from a store and by a share of the limits.
func takeShare(s *bucket.Store, h *transport.Hit, now int64, replicas int) bucket.Verdict {
	if h.Peek {
		return s.PeekShare(h.Rule, h.Digest, h.Tokens, now, replicas)
	}
	return s.TakeShare(h.Rule, h.Digest, h.Tokens, now, replicas)
}
