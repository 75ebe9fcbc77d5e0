package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// Errors of Take, besides those of the context.
var (
	// ErrClosed: the node was closed.
	ErrClosed = errors.New("cluster: node closed")
	// ErrNilRule: no rule was given, or one that NewRule hasn't made.
	ErrNilRule = errors.New("cluster: rule is nil or empty; make one with bucket.NewRule")
	// ErrBadCost: tokens is negative.
	ErrBadCost = errors.New("cluster: tokens must be at least 0")
	// ErrConcurrent: the rule limits what runs at a time, not how much passes.
	ErrConcurrent = errors.New("cluster: the rule limits concurrency; use Acquire")
)

// Take decides whether tokens may be taken from key under the rule, by all
// replicas together, and if so takes them. A request usually costs 1; 0 asks
// without taking.
//
// It returns within Config.HitTimeout, and before the context's deadline if
// that has more than 2 ms left. Where the holder of the key's bucket can't be asked
// in time its standby decides, and where that can't either the rule's failure
// policy: that is no error, the decision is marked Degraded. The errors are ErrClosed, ErrNilRule, ErrBadCost, ErrConcurrent and the
// context's own when it is done beforehand; a cancellation while Take waits is
// not noticed. It is safe for concurrent use.
func (n *Node) Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (d bucket.Decision, err error) {
	err = n.ask(ctx, &d, rule, key, tokens, taking)
	return d, err
}

// manner is how a decision is asked for.
type manner uint8

const (
	taking   manner = iota
	peeking         // nothing is taken
	together        // it may be given back at once: by what was lent that isn't exact
)

// ask writes its decision to d, which is zero before: copying it would take as long as
// the rest.
func (n *Node) ask(ctx context.Context, d *bucket.Decision, rule *bucket.Rule, key string, tokens int64, how manner) (err error) {
	decided := false
	defer n.rescue(&decided, d, &err, rule, key, tokens, how)
	if err := n.check(ctx, rule, tokens); err != nil {
		return err
	}
	if _, concurrent := rule.Concurrent(); concurrent {
		return ErrConcurrent
	}
	if rule.Mode() == bucket.Off {
		n.word(d, rule, new(bucket.Verdict), PathOff, how)
		return nil
	}
	now := n.now()
	digest := n.store.Digest(rule, key)
	if how == peeking || !n.decideCommon(d, rule, digest, tokens, now) {
		n.decideAny(ctx, d, rule, digest, tokens, how, now)
	}
	if (!d.Allowed || d.WouldRefuse) && how != peeking {
		n.denied.add(digest, rule, key, now)
	}
	decided = true
	return nil
}

// word puts a verdict into the words of its rule, and counts it.
func (n *Node) word(d *bucket.Decision, rule *bucket.Rule, v *bucket.Verdict, by Path, how manner) {
	if how != peeking {
		n.count(rule, v, by)
	}
	rule.Word(d, v)
}

// decideCommon decides and counts the commonest hit by far: the token of its key is
// here, and nothing else is known of the key. What the others need besides would take as
// long as looking up the bucket.
func (n *Node) decideCommon(d *bucket.Decision, rule *bucket.Rule, digest bucket.Digest, tokens, now int64) (ok bool) {
	held := &n.parts.held[ring.Partition(digest.Hi)]
	return held.Load() != 0 && !n.stoodStill(now) && n.scale.Load() <= 1 &&
		(n.hot.used.Load() == 0 || n.hot.find(digest) == nil) &&
		n.store.TakeCommon(d, held, &n.tally.of(rule).local, rule, digest, tokens, now)
}

// decideAny has a hit decided: by what is known of its key here, by the token if that is
// here, or by whoever has it.
func (n *Node) decideAny(ctx context.Context, d *bucket.Decision, rule *bucket.Rule, digest bucket.Digest, tokens int64, how manner, now int64) {
	var v bucket.Verdict
	k, by, ok := n.hot.decide(digest, rule, tokens, how, now, &v)
	if !ok {
		hit := transport.Hit{Digest: digest, Rule: rule, Tokens: tokens, Peek: how == peeking, Whole: how == together}
		n.hot.brief(k, &hit, now)
		by = n.route(ctx, &v, &hit, now)
	}
	n.word(d, rule, &v, by, how)
}

// route has a hit decided by the token, here or elsewhere.
func (n *Node) route(ctx context.Context, v *bucket.Verdict, h *transport.Hit, now int64) Path {
	if !n.decide(v, h, now) {
		return n.forward(v, h, now, n.expiry(ctx, now))
	}
	n.hot.settle(h)
	if v.Leased && !h.Whole {
		n.hot.warm(h, now)
	}
	return PathLocal
}

func (n *Node) check(ctx context.Context, rule *bucket.Rule, tokens int64) error {
	switch {
	case n.closed.Load():
		return ErrClosed
	case rule == nil || rule.Name() == "":
		return ErrNilRule
	case tokens < 0:
		return fmt.Errorf("%w, not %d", ErrBadCost, tokens)
	}
	return ctx.Err()
}

// answerTime is what is kept of a deadline for the way back to the caller: a
// timer's inaccuracy and the failure policy.
const answerTime = int64(2 * time.Millisecond)

// expiry is when to give up on the owner, on the node's clock.
func (n *Node) expiry(ctx context.Context, now int64) int64 {
	expire := now + int64(n.config.HitTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		expire = min(expire, int64(deadline.Sub(n.started)))
	}
	return expire - answerTime
}

// denyRetry is the RetryAfter of the failure policy Deny: by then another
// replica owns the keys of one that crashed.
const denyRetry = time.Second

const (
	// unsettledTime is how long after a change of the view tokens may still be on their
	// way, and moveRetry when one of them has arrived for sure.
	unsettledTime = 2 * time.Second
	moveRetry     = 100 * time.Millisecond
)

// degrade decides a hit by its rule's failure policy, among that many members. If
// nobody was silent but the token is moving, a share of the limit would come on top
// of what its next holder is about to admit: then the policy LocalShare refuses.
func (n *Node) degrade(h *transport.Hit, moving bool, now int64, members int) bucket.Verdict {
	switch h.Rule.FailurePolicy() {
	case bucket.Allow:
		return bucket.Verdict{Allowed: true, Degraded: true, Remaining: h.Rule.Capacity()}
	case bucket.Deny:
		return bucket.Verdict{Degraded: true, RetryAfter: denyRetry}
	}
	if moving && members > 1 && now-n.changed.Load() < int64(unsettledTime) {
		return bucket.Verdict{Degraded: true, RetryAfter: moveRetry}
	}
	v := takeShare(n.shares, h, now, members)
	v.Degraded = true
	if v.RetryAfter == bucket.Never && h.Tokens <= h.Rule.Capacity() {
		v.RetryAfter = denyRetry // too much for a share, not for the whole
	}
	return v
}
