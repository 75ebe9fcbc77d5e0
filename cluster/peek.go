package cluster

import (
	"context"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// Peek returns the decision that Take would make now, but for its receipt. It takes
// nothing, creates nothing and charges no penalty, here or at the holder of the key,
// and where the holder is this replica it allocates nothing. What else is said of
// Take holds for Peek.
func (n *Node) Peek(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return n.ask(ctx, rule, key, tokens, true)
}

// take takes the hit from the store, or only looks if it is a peek, on the condition
// that held isn't 0. v is zero before. Where the hit stands for several that are told
// different things these go to run, if it isn't nil.
func (n *Node) take(v *bucket.Verdict, run *bucket.Run, h *transport.Hit, now int64) (ok bool) {
	held, scale := &n.parts.held[partition(h)], int(n.scale.Load())
	n.penalize(h, now)
	if h.Peek {
		*v, ok = n.store.PeekHeld(held, h.Rule, h.Digest, h.Tokens, now, scale)
		return ok
	}
	if run != nil {
		return n.store.TakeRun(run, held, h.Rule, h.Digest, h.Tokens, h.Count, now, scale)
	}
	return n.store.TakeHeld(v, held, h.Rule, h.Digest, h.Tokens, now, scale)
}

// penalize charges the penalties with what was refused elsewhere.
func (n *Node) penalize(h *transport.Hit, now int64) {
	if h.Refused > 0 {
		n.store.Penalize(&n.parts.held[partition(h)], h.Rule, h.Digest, h.Refused, now)
	}
}

// takeShare is take without a condition, from a store and by a share of the limits.
func takeShare(s *bucket.Store, h *transport.Hit, now int64, replicas int) bucket.Verdict {
	if h.Peek {
		return s.PeekShare(h.Rule, h.Digest, h.Tokens, now, replicas)
	}
	return s.TakeShare(h.Rule, h.Digest, h.Tokens, now, replicas)
}
