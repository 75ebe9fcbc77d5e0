package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// ErrNever: the request can't pass however long it waits, as it costs more than the
// limit's capacity or meets a limit of 0.
var ErrNever = errors.New("cluster: no wait is long enough")

// minWait is how long Wait sleeps at least before it asks again.
const minWait = time.Millisecond

// Wait takes tokens from key under the rule as soon as they are there, and waits out
// the Delay of a LeakyBucket as well. Those who wait for one key on one replica are
// served first come, first served, also if a later one wants less; between replicas
// it is whoever asks first. A request that is over the limit for ever gets ErrNever,
// and one that can't be served before the context's deadline gets
// context.DeadlineExceeded, both at once and with the decision that says so; what a
// cancelled one has taken is refunded. The other errors are those of Take. It is
// safe for concurrent use.
func (n *Node) Wait(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	if err := n.check(ctx, rule, tokens); err != nil {
		return bucket.Decision{}, err
	}
	digest := n.store.Digest(rule, key)
	l := n.lines.join(digest)
	defer n.lines.leave(digest, l)
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return bucket.Decision{}, ctx.Err()
	}
	for {
		d, err := n.Take(ctx, rule, key, tokens)
		if err != nil {
			return d, err
		}
		if d.Allowed {
			return d, n.delay(ctx, rule, key, d)
		}
		if d.RetryAfter == bucket.Never {
			return d, ErrNever
		}
		if err := pause(ctx, max(d.RetryAfter, minWait)); err != nil {
			return d, err
		}
	}
}

// delay waits until it is the turn of what was taken, or gives it back.
func (n *Node) delay(ctx context.Context, rule *bucket.Rule, key string, d bucket.Decision) error {
	if d.Delay == 0 {
		return nil
	}
	err := pause(ctx, d.Delay)
	if err != nil {
		err = errors.Join(err, n.Refund(context.WithoutCancel(ctx), rule, key, d.Receipt))
	}
	return err
}

// pause sleeps, unless the context would end before.
func pause(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return fmt.Errorf("cluster: %v to wait: %w", d, context.DeadlineExceeded)
	}
	sleep(ctx, d)
	return ctx.Err()
}

// lines are the queues of those who wait, by key.
type lines struct {
	mu   sync.Mutex
	keys map[bucket.Digest]*line
}

// line is the queue for one key: whoever has received from turn is at its head.
// Receivers of a channel are served in their order.
type line struct {
	turn    chan struct{}
	waiting int
}

func (l *lines) join(d bucket.Digest) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[bucket.Digest]*line{}
	}
	q := l.keys[d]
	if q == nil {
		q = &line{turn: make(chan struct{}, 1)}
		q.turn <- struct{}{}
		l.keys[d] = q
	}
	q.waiting++
	return q
}

func (l *lines) leave(d bucket.Digest, q *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waiting--; q.waiting == 0 {
		delete(l.keys, d)
	}
}
