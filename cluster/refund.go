package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// ErrNoHolder: the replica that holds the state of the key could not be reached in
// time, or not all replicas where all are meant.
var ErrNoHolder = errors.New("cluster: the holder of the key was not reached")

// Refund gives back what a decision for key under the rule took, by the decision's
// Receipt, as far as it hasn't come back by itself: see bucket.Store.Refund. A
// receipt is good for one refund, or once for each Part of it. The zero receipt, of
// a decision that took nothing, refunds nothing.
//
// What was spent from a lease comes back only until this replica next tells the holder
// what it has left, some 25 ms after the hit: a later refund of it is forgotten, which
// errs to the strict side, and is no error. For a minute after a Refund this replica
// leases no key of its rule, so that concerns the first one alone; and what TakeAll took
// is never from a lease.
//
// It returns within Config.HitTimeout. ErrNoHolder says that the refund may be lost,
// which errs to the strict side: don't repeat it, as it may also have arrived. The
// state may have moved to another replica meanwhile; that one refunds nothing, and
// this is no error. The other errors are those of Take. It is safe for concurrent
// use.
func (n *Node) Refund(ctx context.Context, rule *bucket.Rule, key string, r bucket.Receipt) error {
	return n.restore(ctx, rule, key, r, taking)
}

// restore is Refund of what was taken in that manner.
func (n *Node) restore(ctx context.Context, rule *bucket.Rule, key string, r bucket.Receipt, how manner) (err error) {
	defer n.rescueCall("refunding", &err)
	if err := n.check(ctx, rule, 0); err != nil || r.Tokens() == 0 {
		return err
	}
	d, now := n.store.Digest(rule, key), n.now()
	if n.shares.RefundShare(rule, d, r, now, len(n.view.Load().members)) {
		return nil // it was a share
	}
	defer n.hot.refund(d, rule, how, now)
	if n.hot.unspend(d, &r, now) {
		return nil
	}
	return n.refund(ctx, rule, d, r, now)
}

// refund has the holder of the token refund, wherever it is.
func (n *Node) refund(ctx context.Context, rule *bucket.Rule, d bucket.Digest, r bucket.Receipt, now int64) error {
	ctx, cancel := context.WithDeadline(ctx, n.started.Add(time.Duration(n.expiry(ctx, now))))
	defer cancel()
	p := ring.Partition(d.Hi)
	request := encodeRefund(rule, d, r)
	target := n.holder(n.view.Load(), p)
	for range maxHints + 1 {
		if target.peer == nil {
			if _, held := n.store.RefundHeld(&n.parts.held[p], rule, d, r, n.now()); held {
				return nil
			}
			if n.alone() {
				n.store.RefundDigest(rule, d, r, n.now())
				return nil
			}
			n.await(n.now() + int64(tokenPause))
			target = n.holder(n.view.Load(), p)
			continue
		}
		answer, err := target.peer.Call(ctx, callRefund, request)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoHolder, err)
		}
		if len(answer) != 8 {
			return nil
		}
		if target = n.view.Load().reach(handoff.Boot(binary.BigEndian.Uint64(answer))); target == nil {
			target = n.holder(n.view.Load(), p)
		}
	}
	return ErrNoHolder
}

// refundHeader is the size of a request without its rule: digest 16, receipt. The
// answer is empty, or the boot that may hold the token, u64, where it isn't here.
const refundHeader = 16 + bucket.ReceiptBytes

func encodeRefund(rule *bucket.Rule, d bucket.Digest, r bucket.Receipt) []byte {
	b := appendDigest(make([]byte, 0, refundHeader+rule.BinarySize()), d)
	b, _ = r.AppendBinary(b)
	b, _ = rule.AppendBinary(b)
	return b
}

// answerRefund refunds a hit that another replica's caller takes back.
func (n *Node) answerRefund(request []byte) ([]byte, error) {
	if len(request) < refundHeader {
		return nil, errRequest
	}
	d := readDigest(request)
	r, err := bucket.DecodeReceipt(request[16:refundHeader])
	if err != nil {
		return nil, err
	}
	rule, err := bucket.DecodeRule(request[refundHeader:])
	if err != nil {
		return nil, err
	}
	p := ring.Partition(d.Hi)
	if _, held := n.store.RefundHeld(&n.parts.held[p], rule, d, r, n.now()); held {
		return nil, nil
	}
	hint := handoff.Boot(0)
	if m := n.holder(n.view.Load(), p); m.peer != nil {
		hint = m.id
	}
	return binary.BigEndian.AppendUint64(nil, uint64(hint)), nil
}
