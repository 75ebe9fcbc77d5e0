package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// resetTime is how long a reset may take.
const resetTime = time.Second

// Reset makes key whole again under every limit and penalty of the rule, at all
// replicas: its holder, those that keep a copy, and the shares of those that decided
// alone. Receipts from before are void.
//
// It takes a second at most. An error that wraps ErrNoHolder names the replicas that
// were not reached: what they know of the key may come back, so repeat it. A crash
// of the holder in the same tenth of a second may undo it. The other errors are those
// of Take: what runs under a concurrency limit can't be reset. It is safe for
// concurrent use.
func (n *Node) Reset(ctx context.Context, rule *bucket.Rule, key string) (err error) {
	defer n.rescueCall("resetting", &err)
	if err := n.check(ctx, rule, 0); err != nil {
		return err
	}
	if _, concurrent := rule.Concurrent(); concurrent {
		return ErrConcurrent
	}
	ctx, cancel := context.WithTimeout(ctx, resetTime)
	defer cancel()
	d := n.store.Digest(rule, key)
	request, _ := rule.AppendBinary(appendDigest(nil, d))
	members := n.view.Load().members
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { errs[i] = n.resetAt(ctx, m, rule, d, request) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// resetAt resets a key at one replica.
func (n *Node) resetAt(ctx context.Context, m *member, rule *bucket.Rule, d bucket.Digest, request []byte) (err error) {
	defer n.rescueCall("resetting", &err)
	if m.peer == nil {
		n.reset(rule, d)
	} else if _, err := m.peer.Call(ctx, callReset, request); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoHolder, m.name, err)
	}
	return nil
}

func (n *Node) reset(rule *bucket.Rule, d bucket.Digest) {
	now := n.now()
	n.hot.forget(d, now)
	n.store.ResetDigest(rule, d, now)
	n.shares.ResetDigest(rule, d, now)
}

// answerReset resets a key here. The request is its digest and the rule.
func (n *Node) answerReset(request []byte) error {
	if len(request) < digestBytes {
		return errRequest
	}
	rule, err := bucket.DecodeRule(request[digestBytes:])
	if err != nil {
		return err
	}
	n.reset(rule, readDigest(request))
	return nil
}
