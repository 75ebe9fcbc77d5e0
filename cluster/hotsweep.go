package cluster

import (
	"context"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

const (
	// hotTick is how often the keys that are known here are looked at while there
	// are any, and leastTick the same where a lease is short.
	hotTick   = 25 * time.Millisecond
	leastTick = 5 * time.Millisecond
	// reportTime is how often a holder hears at most of the refusals of one key, and
	// with a tick and the way there how late at most: 100 ms.
	reportTime = 75 * time.Millisecond
)

// keepHot looks after what is known here of keys that are held elsewhere, until ctx is
// done. While there is nothing it sleeps.
func (n *Node) keepHot(ctx context.Context) {
	tick := time.NewTicker(hotTick)
	defer tick.Stop()
	for tick.Stop(); ; {
		select {
		case <-ctx.Done():
			return
		case <-n.hot.wake:
			tick.Reset(hotTick)
		case <-tick.C:
			if n.hot.used.Load() == 0 {
				tick.Stop()
				continue
			}
			tick.Reset(n.sweepHot(n.now()))
		case k := <-n.hot.low:
			n.once("renewing a lease", func() { n.renew(k, false) })
		case h := <-n.hot.returns:
			n.once("giving back a lease", func() { n.say(&h) })
		}
	}
}

// sweepHot tells holders what they should know of their keys, forgets what nobody
// needs, and returns when to look again.
func (n *Node) sweepHot(now int64) (next time.Duration) {
	next = hotTick
	for i := range n.hot.slots {
		k := n.hot.slots[i].Load()
		if k == nil {
			continue
		}
		leased := n.sweepLease(k, now, &next)
		switch pending := k.refusals.Load() > 0; {
		case pending && now-k.reported >= int64(reportTime):
			k.reported = now
			n.once("reporting refusals", func() { n.report(k) })
		case !pending && !leased && k.denial.over(now):
			n.hot.remove(i, k)
		}
	}
	return next
}

// sweepLease looks after the lease of a key, and reports whether it has one still.
func (n *Node) sweepLease(k *hotKey, now int64, next *time.Duration) bool {
	l := k.lease.Load()
	if l == nil {
		return false
	}
	*next = max(min(*next, time.Duration(l.term/4)), leastTick)
	rate := int64(coolRate)
	if n.hot.used.Load() > manyHot {
		rate = busyRate
	}
	k.mu.Lock()
	giveBack, cool := l.sweep(now, rate)
	k.mu.Unlock()
	if !giveBack && !cool || !l.asking.CompareAndSwap(false, true) {
		return true
	}
	if giveBack {
		n.once("giving back a lease", func() { n.renew(k, true) })
		return true
	}
	k.mu.Lock() // nobody can ask any more; what was spent from it meanwhile is
	defer k.mu.Unlock()
	l.ended = true
	k.lease.CompareAndSwap(l, nil)
	return false
}

// report tells the holder of a key how many hits have been refused here for it, as its
// penalties count them.
func (n *Node) report(k *hotKey) {
	n.say(&transport.Hit{Digest: k.digest, Rule: k.rule, Refused: k.refusals.Swap(0)})
}
