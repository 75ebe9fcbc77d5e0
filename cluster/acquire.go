package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
)

// ErrNotConcurrent: the rule has no limit on what runs at a time.
var ErrNotConcurrent = errors.New("cluster: the rule limits no concurrency; give it a limit such as \"2 concurrent\"")

// Acquire decides whether one more request of key may run under the rule's
// concurrency limit, counted over all replicas, and if so counts it as running until
// release is called. release is never nil and may be called more than once; of a
// refused request it does nothing. It returns when the holder of the key knows, so
// that the slot is free for whoever asks next, or after Config.HitTimeout.
//
// It never waits for a slot to become free: it returns within Config.HitTimeout, as
// Take does, and where the holder of the key can't be asked in time the rule's
// failure policy decides, by what runs on this replica. The slots of a replica that
// crashes are free after 3 s at most. The decision has no RetryAfter, as nobody
// knows when a request ends. The errors are those of Take, and ErrNotConcurrent. It
// is safe for concurrent use.
func (n *Node) Acquire(ctx context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error) {
	if err := n.check(ctx, rule, 1); err != nil {
		return func() {}, bucket.Decision{}, err
	}
	limit, ok := rule.Concurrent()
	if !ok {
		return func() {}, bucket.Decision{}, ErrNotConcurrent
	}
	defer n.rescueSlot(&release, &d, &err, rule)
	if rule.Mode() == bucket.Off {
		v := bucket.Verdict{Allowed: true, Remaining: limit}
		n.count(rule, &v, PathOff)
		return func() {}, rule.Decision(v), nil
	}
	digest, now := n.store.Digest(rule, key), n.now()
	by := PathForwarded
	if n.parts.holds(ring.Partition(digest.Hi)) {
		by = PathLocal
	}
	v := n.acquire(rule, digest, limit, n.expiry(ctx, now))
	if v.Degraded {
		by = PathPolicy
	}
	n.count(rule, &v, by)
	if !v.Allowed {
		n.denied.add(digest, rule, key, now)
		return func() {}, rule.Decision(v), nil
	}
	return sync.OnceFunc(func() { n.survives("releasing", func() { n.release(digest) }) }), rule.Decision(v), nil
}

// acquire waits until the holder has answered, or the time expire.
func (n *Node) acquire(rule *bucket.Rule, d bucket.Digest, limit, expire int64) bucket.Verdict {
	t := n.inflight.enter(d, limit)
	n.kickSlots()
	timer := time.NewTimer(max(time.Duration(expire-n.now()), 0))
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
		if n.inflight.giveUp(d, t) {
			return n.degradeSlot(rule, d, limit)
		}
	}
	return bucket.Verdict{Allowed: t.ok, Remaining: t.left}
}

// enter queues a request for a slot.
func (f *inflight) enter(d bucket.Digest, limit int64) *ticket {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.of(d)
	r.limit = limit
	t := &ticket{done: make(chan struct{})}
	r.waiting = append(r.waiting, t)
	f.due[d] = true
	return t
}

func (f *inflight) of(d bucket.Digest) *running {
	r := f.own[d]
	if r == nil {
		r = &running{digest: d}
		f.own[d] = r
	}
	return r
}

// giveUp takes back a ticket, if it has not been answered. A slot that is granted
// for it meanwhile goes back with the next claim.
func (f *inflight) giveUp(d bucket.Digest, t *ticket) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.own[d]
	if r == nil {
		return false
	}
	i := slices.Index(r.waiting, t)
	if i >= 0 {
		r.waiting = slices.Delete(slices.Clone(r.waiting), i, i+1)
		f.tidy(r)
	}
	return i >= 0
}

// degradeSlot decides by the failure policy: as its share, a replica may run a part
// of the limit, and one request at least.
func (n *Node) degradeSlot(rule *bucket.Rule, d bucket.Digest, limit int64) bucket.Verdict {
	n.counters.byPolicy.Add(1)
	n.inflight.mu.Lock()
	defer n.inflight.mu.Unlock()
	r := n.inflight.of(d)
	share := max(1, limit/int64(len(n.view.Load().members)))
	switch policy := rule.FailurePolicy(); {
	case limit == 0, policy == bucket.Deny, policy == bucket.LocalShare && r.count >= share:
		n.inflight.tidy(r)
		return bucket.Verdict{Degraded: true}
	}
	r.count++
	n.inflight.due[d] = true
	return bucket.Verdict{Allowed: true, Degraded: true, Remaining: max(0, share-r.count)}
}

// release ends a request, and waits for the holder to hear of it, so that whoever
// follows on another replica finds the slot free.
func (n *Node) release(d bucket.Digest) {
	known := n.inflight.end(d)
	n.kickSlots()
	if n.closed.Load() {
		return
	}
	timer := time.NewTimer(n.config.HitTimeout)
	defer timer.Stop()
	select {
	case <-known:
	case <-timer.C:
	}
}

// end counts a request no more, and returns what is closed when the holder knows.
func (f *inflight) end(d bucket.Digest) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := make(chan struct{})
	r := f.own[d]
	if r == nil || r.count == 0 {
		close(known)
		return known
	}
	r.count--
	r.ended = append(r.ended, known)
	f.due[d] = true
	f.tidy(r)
	return known
}
