package cluster

import (
	"context"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// A replica that has met nobody yet holds no tokens, as there may be others who have
// them. What it decides meanwhile stays in its own buckets. If it remains alone it makes
// the tokens, and nothing that it has counted begins anew; if it meets others it owes
// them its copy, like a standby.

// alone reports whether this replica knows of nobody else.
func (n *Node) alone() bool {
	v := n.view.Load()
	return len(v.members) == 1 && v.members[0].peer == nil
}

// decideAlone decides a hit without a token, where the failure policy is a share of the
// limit and this replica is alone: the whole is its share.
func (n *Node) decideAlone(h *transport.Hit, now int64) (v bucket.Verdict, ok bool) {
	if h.Rule.FailurePolicy() != bucket.LocalShare || !n.alone() {
		return v, false
	}
	v = takeShare(n.store, h, now, int(n.scale.Load()))
	v.Degraded = true
	if !h.Peek {
		n.parts.owe(partition(h))
	}
	return v, true
}

// readyPause is how often WaitReady looks.
const readyPause = 10 * time.Millisecond

// WaitReady waits until the node is Ready: for about 0.6 s where it joins others or
// has no Seeds, for 3 s where nobody answers at them. Call it before the service takes
// traffic. The error is the context's, or ErrClosed. It is safe for concurrent use.
func (n *Node) WaitReady(ctx context.Context) error {
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for !n.Ready() {
		if n.closing.Load() {
			return ErrClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
