package cluster

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// The limiter lives in its user's process, and must not take it along: where it
// panics, by a mistake in it or in what it was given (a Log, a Network), a caller has
// the answer of the rule's failure policy, and a goroutine begins anew. Every lock under
// which anything can panic is left by defer. What was half done is as if its replica had crashed at that point.

// againTime is how long a goroutine waits after a panic before it begins anew.
const againTime = 100 * time.Millisecond

// mishap counts a panic and logs it.
func (n *Node) mishap(where string, p any) {
	n.panics.Add(1)
	n.config.Log.Error("recovered from a panic; please report it", "where", where, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// rescue is deferred where a caller waits for a decision. That there is one tells it
// sooner than recover would that there was no panic.
func (n *Node) rescue(d *bucket.Decision, q *question, err *error) {
	if q.decided {
		return
	}
	p := recover()
	if p == nil {
		return
	}
	n.mishap("deciding", p)
	*err = nil
	if n.survives("the failure policy", func() { n.decideByPolicy(d, q) }) {
		return
	}
	*d = bucket.Decision{Allowed: q.rule.FailurePolicy() != bucket.Deny, Degraded: true}
}

// rescueWait is rescue for a caller who waits for more than a decision.
func (n *Node) rescueWait(ctx context.Context, d *bucket.Decision, err *error, rule *bucket.Rule, key string, tokens int64) {
	if p := recover(); p != nil {
		n.mishap("waiting", p)
		if *d, *err = n.Take(ctx, rule, key, tokens); *err == nil && !d.Allowed {
			*err = ErrNoHolder
		}
	}
}

// rescueSlot is rescue for a caller who asks for a slot.
func (n *Node) rescueSlot(release *func(), d *bucket.Decision, err *error, rule *bucket.Rule) {
	if p := recover(); p != nil {
		n.mishap("acquiring", p)
		v := bucket.Verdict{Allowed: rule.FailurePolicy() != bucket.Deny, Degraded: true}
		*release, *d, *err = func() {}, rule.Decision(v), nil
	}
}

// rescueCall is deferred where a panic is an error to the caller, or lost news.
func (n *Node) rescueCall(where string, err *error) {
	if p := recover(); p != nil {
		n.mishap(where, p)
		*err = fmt.Errorf("%w: %w", ErrNoHolder, errPanic)
	}
}

// rescueAnswer is deferred where a peer's hit is decided: its asker goes on as if its
// key were held elsewhere.
func (n *Node) rescueAnswer(answer *transport.Answer) {
	if p := recover(); p != nil {
		n.mishap("deciding for a peer", p)
		*answer = transport.Answer{NotHeld: true, Run: answer.Run}
	}
}

// decideByPolicy decides by the rule's failure policy alone.
func (n *Node) decideByPolicy(d *bucket.Decision, q *question) {
	n.counters.byPolicy.Add(1)
	hit := transport.Hit{Digest: n.shares.Digest(q.rule, q.key), Rule: q.rule, Tokens: q.tokens, Peek: q.how == peeking}
	v := n.degrade(&hit, false, n.now(), len(n.view.Load().members))
	*d = bucket.Decision{}
	q.rule.Word(d, &v)
}

// survives calls f, and reports whether it returned.
func (n *Node) survives(where string, f func()) (returned bool) {
	defer func() {
		if !returned {
			n.mishap(where, recover())
		}
	}()
	f()
	return true
}

// tend runs f in a goroutine of the node, and again if it panics, until ctx is done.
func (n *Node) tend(ctx context.Context, where string, f func(context.Context)) {
	n.wg.Go(func() {
		for !n.survives(where, func() { f(ctx) }) && ctx.Err() == nil {
			sleep(ctx, againTime)
		}
	})
}

// once runs f in a goroutine of the node.
func (n *Node) once(where string, f func()) {
	n.wg.Go(func() { n.survives(where, f) })
}
