package cluster

import (
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// tokenPause is how long a hit waits before it asks again for a token that is on
// its way: about as long as one takes.
const tokenPause = 3 * time.Millisecond

// decide decides a hit here, if the token of its partition is here and this
// replica has not stood still.
func (n *Node) decide(h transport.Hit, now int64) (v bucket.Verdict, ok bool) {
	held := &n.parts.held[ring.Partition(h.Digest.Hi)]
	if !held.Load() || now-n.beat.Load() > int64(pauseTime) {
		return bucket.Verdict{}, false
	}
	return n.store.TakeHeld(held, h.Rule, h.Digest, h.Tokens, now)
}

// whereabouts is the member that a hit should go to, as far as is known here: the
// last known holder of the partition's token, or the one that should be.
func (n *Node) whereabouts(v *view, partition int) *member {
	if m := v.byID[handoff.Boot(n.parts.hints[partition].Load())]; m != nil {
		return m
	}
	return v.owner(partition)
}

// forward has a hit decided by whoever holds the token of its partition. While
// that can't be reached in half of the time, others may know more; at the end the
// rule's failure policy decides.
func (n *Node) forward(h transport.Hit, now, expire int64) bucket.Verdict {
	v := n.view.Load()
	partition := ring.Partition(h.Digest.Hi)
	target := n.whereabouts(v, partition)
	half := now + (expire-now)/2
	var sent sentHit
	for now < half {
		if target.peer == nil {
			n.await(half)
			if verdict, ok := n.decide(h, n.now()); ok {
				return verdict
			}
		} else {
			answer, err := target.peer.Ask(h, half)
			if err == nil && !answer.NotHeld {
				return answer.Verdict
			}
			if err != nil {
				sent = sentHit{target, answer.Number}
				break
			}
			if next := v.byID[handoff.Boot(answer.Hint)]; next != nil && next != target {
				target, now = next, n.now()
				continue
			}
			n.await(min(half, n.now()+int64(tokenPause)))
		}
		v, now = n.view.Load(), n.now()
		target = n.whereabouts(v, partition)
	}
	if verdict, ok := n.askOthers(h, partition, sent, expire); ok {
		return verdict
	}
	return n.degrade(h, n.now(), len(n.view.Load().members))
}

// sentHit is a hit that was sent and not answered: it may have been debited.
type sentHit struct {
	to     *member // nil: it wasn't sent
	number uint64
}

// await waits until a token has come here, or the time until.
func (n *Node) await(until int64) {
	arrived := n.parts.arrival()
	timer := time.NewTimer(max(time.Duration(until-n.now()), 0))
	defer timer.Stop()
	select {
	case <-arrived:
	case <-timer.C:
	}
}

// askOthers turns to those who have a copy of a partition's buckets because its
// holder is silent: its standby, and its owner where that has changed already.
// They pass the hit on if they can reach the holder, or else decide it by the copy.
func (n *Node) askOthers(h transport.Hit, partition int, sent sentHit, expire int64) (bucket.Verdict, bool) {
	v := n.view.Load()
	h.Orphan = true
	for _, m := range []*member{v.owner(partition), v.standby(partition)} {
		switch {
		case m == nil || m == sent.to:
		case m.peer == nil:
			if verdict, ok := n.decideOrphan(h, n.now()); ok {
				return verdict, true
			}
		default:
			answer, err := m.peer.Ask(h, expire)
			if err == nil && !answer.NotHeld {
				return answer.Verdict, true
			}
			if err != nil || sent.to == nil || answer.Hint != uint64(sent.to.id) {
				continue
			}
			if verdict, ok := n.relay(m, sent, h, expire); ok {
				return verdict, true
			}
		}
	}
	return bucket.Verdict{}, false
}

// decideOrphan decides a hit by this replica's copy, if it has the best there is:
// it is the standby of a holder that it can't reach either, or the heir of one
// that has crashed.
func (n *Node) decideOrphan(h transport.Hit, now int64) (bucket.Verdict, bool) {
	if v, ok := n.decide(h, now); ok {
		return v, true
	}
	v := n.view.Load()
	partition := ring.Partition(h.Digest.Hi)
	holder := n.whereabouts(v, partition)
	switch {
	case n.parts.bereaved[partition].Load():
	case holder.peer == nil || holder.peer.Alive() || holder.leaving:
		return bucket.Verdict{}, false
	default:
		if standby := v.standby(partition); standby == nil || standby.peer != nil {
			return bucket.Verdict{}, false
		}
	}
	verdict := n.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
	verdict.Degraded = true
	n.parts.owe(partition)
	return verdict, true
}

// answering is the node as its peers see it.
type answering struct{ node *Node }

func (a answering) Now() int64 { return a.node.now() }

func (a answering) Sight() transport.Sight {
	return transport.Sight{View: a.node.parts.viewHash(), Table: a.node.view.Load().table.Hash()}
}

func (a answering) Decide(h transport.Hit, now int64) transport.Answer {
	n := a.node
	if v, ok := n.decide(h, now); ok {
		return transport.Answer{Verdict: v}
	}
	if h.Orphan {
		if v, ok := n.decideOrphan(h, now); ok {
			return transport.Answer{Verdict: v}
		}
	}
	hint := n.whereabouts(n.view.Load(), ring.Partition(h.Digest.Hi)).id
	if hint == n.parts.self {
		hint = 0 // on its way here
	}
	return transport.Answer{NotHeld: true, Hint: uint64(hint)}
}
