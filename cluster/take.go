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
	err = n.ask(ctx, &d, &question{rule: rule, key: key, tokens: tokens, how: taking})
	return d, err
}

// manner is how a decision is asked for.
type manner uint8

const (
	taking   manner = iota
	peeking         // nothing is taken
	together        // it may be given back at once: by what was lent that isn't exact
)

// question is one that is asked of a node. It is passed on by pointer, like the decision,
// as copies would take as long as the rest.
type question struct {
	rule    *bucket.Rule
	key     string
	digest  bucket.Digest // of the key, once it is checked
	tokens  int64
	how     manner
	decided bool // there is a decision
}

// ask decides a question, and writes the decision to d, which is zero before.
func (n *Node) ask(ctx context.Context, d *bucket.Decision, q *question) (err error) {
	defer n.rescue(d, q, &err)
	if err := n.check(ctx, q.rule, q.tokens); err != nil {
		return err
	}
	if _, concurrent := q.rule.Concurrent(); concurrent {
		return ErrConcurrent
	}
	if q.rule.Mode() == bucket.Off {
		n.word(d, q, new(bucket.Verdict), PathOff)
		return nil
	}
	q.digest = n.store.Digest(q.rule, q.key)
	now := n.now() // only now: the processor reads the clock while it waits for the key
	switch k := n.hot.find(q.digest); {
	case k == nil && n.decideCommon(d, q, now):
	case k != nil && n.decideKnown(d, q, k, now):
	default:
		n.decideAny(ctx, d, q, k, now)
	}
	if (!d.Allowed || d.WouldRefuse) && q.how != peeking {
		n.denied.add(q.digest, q.rule, q.key, now)
	}
	q.decided = true
	return nil
}

// word puts a verdict into the words of its rule, and counts it.
func (n *Node) word(d *bucket.Decision, q *question, v *bucket.Verdict, by Path) {
	if q.how != peeking {
		n.count(q.rule, v, by)
	}
	q.rule.Word(d, v)
}

// decideCommon decides and counts the commonest hit by far, of a key of which nothing is
// known and whose token is here. What the others need besides would take as long as
// looking up the bucket.
func (n *Node) decideCommon(d *bucket.Decision, q *question, now int64) (ok bool) {
	partition := ring.Partition(q.digest.Hi)
	return n.decides(partition, now) && n.scale.Load() <= 1 && q.how != peeking &&
		n.store.TakeCommon(d, &n.parts.held[partition], &n.tally.of(q.rule).local, q.rule, q.digest, q.tokens, now)
}

// decideKnown decides a hit by what is known of its key, if that is enough.
func (n *Node) decideKnown(d *bucket.Decision, q *question, k *hotKey, now int64) bool {
	var v bucket.Verdict
	by, ok := n.hot.decide(k, q, now, &v)
	if ok {
		n.word(d, q, &v, by)
	}
	return ok
}

// decideAny has a hit decided by the token if that is here, or by whoever has it. k is
// what is known of its key, or nil.
//
// All that waits for a peer waits in the memory of a call, and on as little stack as can
// be: when the answer comes that has gone cold, and a kilobyte more of it would cost as
// much as everything that is done here.
func (n *Node) decideAny(ctx context.Context, d *bucket.Decision, q *question, k *hotKey, now int64) {
	c := n.calls.Get()
	h := &c.Hit
	h.Digest, h.Rule, h.Tokens, h.Peek, h.Whole = q.digest, q.rule, q.tokens, q.how == peeking, q.how == together
	n.hot.brief(k, h, now)
	by := n.route(ctx, c, now)
	n.word(d, q, &c.Answer.Verdict, by)
	n.calls.Put(c)
}

// route has a hit decided by the token, here or elsewhere.
func (n *Node) route(ctx context.Context, c *transport.Call, now int64) Path {
	if !n.decide(&c.Answer.Verdict, &c.Hit, now) {
		return n.forward(c, now, n.expiry(ctx, now))
	}
	n.hot.settle(&c.Hit)
	if c.Answer.Verdict.Leased && !c.Hit.Whole {
		n.hot.warm(&c.Hit, now)
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
