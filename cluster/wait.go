package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// ErrNever: the request can't pass however long it waits, as it costs more than the
// limit's capacity or meets a limit of 0.
var ErrNever = errors.New("cluster: no wait is long enough")

const (
	// minWait is how long Wait sleeps at least before it asks again.
	minWait = time.Millisecond
	// lookAgain is how often it looks whether the tokens are there sooner than it was
	// told, as after a Reset or Refund.
	lookAgain = 250 * time.Millisecond
)

// Wait takes tokens from key under the rule as soon as they are there, and waits out
// the Delay of a LeakyBucket as well. Those who wait for one key under one rule on one
// replica are served first come, first served, also if a later one wants less; between
// replicas it is whoever asks first.
//
// A request that is over the limit for ever gets ErrNever, and one that can't be served
// before the context's deadline gets context.DeadlineExceeded, both at once and with
// the decision that says so. That is all that can be told of one with others before it:
// how long they will take it finds out by waiting. What a cancelled one has taken is
// refunded. Only asking for the tokens counts as a refusal to the rule's penalties,
// looking again doesn't. The other errors are those of Take, and ErrNoHolder after a
// panic in here that the failure policy refuses. It is safe for concurrent
// use.
func (n *Node) Wait(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (d bucket.Decision, err error) {
	if err := n.check(ctx, rule, tokens); err != nil {
		return bucket.Decision{}, err
	}
	defer n.rescueWait(ctx, &d, &err, rule, key, tokens)
	digest := n.store.Digest(rule, key)
	turn, first := n.lines.join(digest)
	defer n.lines.leave(digest, turn)
	if !first {
		d, err := n.Peek(ctx, rule, key, tokens)
		if err == nil {
			err = hopeless(ctx, d)
		}
		if err != nil {
			return d, err
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
	for {
		d, err := n.Take(ctx, rule, key, tokens)
		if err != nil {
			return d, err
		}
		if d.Allowed {
			return d, n.delay(ctx, rule, key, d)
		}
		if d, err = n.outwait(ctx, rule, key, tokens, d); err != nil {
			return d, err
		}
	}
}

// outwait waits until the tokens should be there, as d says when.
func (n *Node) outwait(ctx context.Context, rule *bucket.Rule, key string, tokens int64, d bucket.Decision) (_ bucket.Decision, err error) {
	for !d.Allowed {
		if err := hopeless(ctx, d); err != nil {
			return d, err
		}
		wait := max(d.RetryAfter, minWait)
		sleep(ctx, min(wait, lookAgain))
		if ctx.Err() != nil || wait <= lookAgain {
			return d, ctx.Err()
		}
		if d, err = n.Peek(ctx, rule, key, tokens); err != nil {
			return d, err
		}
	}
	return d, nil
}

// hopeless says why waiting for what d refuses is no use.
func hopeless(ctx context.Context, d bucket.Decision) error {
	if d.RetryAfter == bucket.Never && !d.Allowed {
		return ErrNever
	}
	return inTime(ctx, d.RetryAfter)
}

// inTime is an error if the context ends before d has passed.
func inTime(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return fmt.Errorf("cluster: %v to wait: %w", d, context.DeadlineExceeded)
	}
	return ctx.Err()
}

// delay waits until it is the turn of what was taken, or gives it back.
func (n *Node) delay(ctx context.Context, rule *bucket.Rule, key string, d bucket.Decision) error {
	if d.Delay == 0 {
		return nil
	}
	err := inTime(ctx, d.Delay)
	if err == nil {
		sleep(ctx, d.Delay)
		err = ctx.Err()
	}
	if err != nil {
		err = errors.Join(err, n.Refund(context.WithoutCancel(ctx), rule, key, d.Receipt))
	}
	return err
}

// lines are the queues of those who wait, by key. The turn of the first in each is
// closed.
type lines struct {
	mu   sync.Mutex
	keys map[bucket.Digest][]chan struct{}
}

// join stands in line; turn is closed when all who came before have left.
func (l *lines) join(d bucket.Digest) (turn chan struct{}, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[bucket.Digest][]chan struct{}{}
	}
	turn = make(chan struct{})
	l.keys[d] = append(l.keys[d], turn)
	if first = len(l.keys[d]) == 1; first {
		close(turn)
	}
	return turn, first
}

func (l *lines) leave(d bucket.Digest, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.keys[d], turn)
	l.keys[d] = slices.Delete(l.keys[d], i, i+1)
	switch {
	case len(l.keys[d]) == 0:
		delete(l.keys, d)
	case i == 0:
		close(l.keys[d][0])
	}
}
