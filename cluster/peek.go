package cluster

import (
	"context"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// Peek returns the decision that Take would make now, but for its receipt. It takes
// nothing, creates nothing and charges no penalty, here or at the holder of the key,
// and where the holder is this replica it allocates nothing. What else is said of
// Take holds for Peek.
func (n *Node) Peek(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (d bucket.Decision, err error) {
	err = n.ask(ctx, &d, rule, key, tokens, true)
	return d, err
}

// take takes the hit from the store, or only looks if it is a peek, on the condition
// that held isn't 0.
func (n *Node) take(v *bucket.Verdict, h *transport.Hit, now int64) (ok bool) {
	held, scale := &n.parts.held[ring.Partition(h.Digest.Hi)], int(n.scale.Load())
	if h.Peek {
		*v, ok = n.store.PeekHeld(held, h.Rule, h.Digest, h.Tokens, now, scale)
		return ok
	}
	return n.store.TakeHeld(v, held, h.Rule, h.Digest, h.Tokens, now, scale)
}

// takeShare is take without a condition, from a store and by a share of the limits.
func takeShare(s *bucket.Store, h transport.Hit, now int64, replicas int) bucket.Verdict {
	if h.Peek {
		return s.PeekShare(h.Rule, h.Digest, h.Tokens, now, replicas)
	}
	return s.TakeShare(h.Rule, h.Digest, h.Tokens, now, replicas)
}
