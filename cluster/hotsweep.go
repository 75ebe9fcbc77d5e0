package cluster

import (
	"context"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

const (
	// hotTick is how often the keys that are known here are looked at while there
	// are any.
	hotTick = 25 * time.Millisecond
	// reportTime is how often a holder hears at most of the refusals of one key, and
	// with a tick and the way there how late at most: 100 ms.
	reportTime = 75 * time.Millisecond
)

// keepHot looks after what is known here of keys that are held elsewhere, until ctx is
// done. While there is nothing it sleeps.
func (n *Node) keepHot(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.hot.wake:
		}
		for ticker := time.NewTicker(hotTick); n.hot.used.Load() > 0; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
				n.sweepHot(n.now())
			}
		}
	}
}

// sweepHot tells holders what they should know of their keys, and forgets what nobody
// needs.
func (n *Node) sweepHot(now int64) {
	for i := range n.hot.slots {
		k := n.hot.slots[i].Load()
		if k == nil {
			continue
		}
		switch pending := k.refusals.Load() > 0; {
		case pending && now-k.reported >= int64(reportTime):
			k.reported = now
			n.wg.Go(func() { n.report(k) })
		case !pending && k.denial.over(now):
			n.hot.remove(i, k)
		}
	}
}

// report tells the holder of a key how many hits have been refused here for it, as its
// penalties count them: a hit without cost takes that along.
func (n *Node) report(k *hotKey) {
	now := n.now()
	h := transport.Hit{Digest: k.digest, Rule: k.rule, Refused: k.refusals.Swap(0)}
	var v bucket.Verdict
	if n.decide(&v, &h, now) {
		return
	}
	if sent, ok := n.askHolder(&v, &h, now, now+int64(n.config.HitTimeout)-answerTime); !ok && sent.number == 0 {
		n.hot.takeBack(&h)
	}
}
