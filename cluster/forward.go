package cluster

import (
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

const (
	// tokenPause is how long a hit waits at first before it asks again for a token
	// that is on its way to another: about as long as one takes.
	tokenPause = 2 * time.Millisecond
	// maxHints is how many hints a hit follows in a row.
	maxHints = 2
)

// decide decides a hit here, if the token of its partition is here and this
// replica has not stood still.
func (n *Node) decide(h transport.Hit, now int64) (v bucket.Verdict, ok bool) {
	if !n.parts.holds(partition(h)) || n.stoodStill(now) {
		return bucket.Verdict{}, false
	}
	return n.take(h, now)
}

// partition is where the hit's key lies.
func partition(h transport.Hit) int { return ring.Partition(h.Digest.Hi) }

// forward has a hit decided by whoever holds the token of its partition. If that
// can't be asked in half of the time, others may know more; at the end the rule's
// failure policy decides.
func (n *Node) forward(h transport.Hit, now, expire int64) bucket.Verdict {
	until := expire
	if len(n.view.Load().members) > 2 {
		until = now + (expire-now)/2
	}
	verdict, sent, ok := n.askHolder(h, now, until)
	if !ok {
		verdict, ok = n.askOthers(h, sent, expire)
	}
	if !ok {
		n.counters.byPolicy.Add(1)
		verdict = n.degrade(h, sent.moving, n.now(), len(n.view.Load().members))
	}
	return verdict
}

// sentHit says to whom a hit was sent in vain. It may have been debited there,
// unless the number is 0. moving says instead that nobody was silent, but the token
// of its partition was on its way.
type sentHit struct {
	to     *member
	number uint64
	moving bool
}

// holder is the member that a hit should go to, as far as is known here: the last
// known holder of the partition's token, or the one that should be.
func (n *Node) holder(v *view, partition int) *member {
	if hint := n.parts.hints[partition].Load(); hint != 0 {
		if m := v.reach(handoff.Boot(hint)); m != nil {
			return m
		}
	}
	owner := v.owner(partition)
	if owner.peer == nil {
		if m := v.reach(handoff.Boot(n.parts.kept[partition].Load())); m.alive() {
			return m // gossip alone has given it up, or it hasn't handed over yet
		}
	}
	return owner
}

// askHolder asks the holder of the token, wherever it is, until a time. Where the
// token is on its way the hit waits for it.
func (n *Node) askHolder(h transport.Hit, now, until int64) (_ bucket.Verdict, _ sentHit, ok bool) {
	target, hints, pause := n.holder(n.view.Load(), partition(h)), 0, tokenPause
	moving := now < until
	for ; now < until; now = n.now() {
		if target.peer == nil {
			if verdict, ok := n.decideHere(h, now); ok {
				return verdict, sentHit{}, true
			}
			n.await(min(until, n.now()+int64(pause)))
			target, pause = n.holder(n.view.Load(), partition(h)), 2*pause
			continue
		}
		answer, err := target.peer.Ask(h, until)
		if err != nil {
			return bucket.Verdict{}, sentHit{to: target, number: answer.Number}, false
		}
		if !answer.NotHeld {
			n.found(partition(h), target)
			return answer.Verdict, sentHit{}, true
		}
		if verdict, ok := n.relayToNewcomer(target, handoff.Boot(answer.Hint), h, until); ok {
			return verdict, sentHit{}, true
		}
		if next := n.next(partition(h), handoff.Boot(answer.Hint)); next != nil && next != target && hints < maxHints {
			target, hints = next, hints+1
			continue
		}
		n.await(min(until, n.now()+int64(pause)))
		target, pause = n.holder(n.view.Load(), partition(h)), 2*pause
	}
	return bucket.Verdict{}, sentHit{moving: moving}, false
}

// relayToNewcomer sends a hit by way of m, who says that a boot has the token of whom
// this node hasn't heard.
func (n *Node) relayToNewcomer(m *member, b handoff.Boot, h transport.Hit, until int64) (bucket.Verdict, bool) {
	if b == 0 || n.view.Load().reach(b) != nil {
		return bucket.Verdict{}, false
	}
	verdict, came := n.relay(m, sentHit{to: &member{id: b}}, h, until)
	return verdict, came == decided
}

// next is whom to ask after one who gave this hint, or nil: without a hint, whoever
// the table named before it changed, as that one knows where the token went. A hint
// to this node, which hasn't the token, means that it is on its way from here to whoever
// gave it.
func (n *Node) next(partition int, hint handoff.Boot) *member {
	v := n.view.Load()
	m := v.reach(hint)
	if hint == 0 {
		m = v.reach(handoff.Boot(n.parts.former[partition].Load()))
	}
	if m != nil && m.peer == nil && !n.parts.holds(partition) {
		return nil
	}
	return m
}

// found notes that a member had the token.
func (n *Node) found(partition int, m *member) {
	former := &n.parts.former[partition]
	if former.Load() != 0 && m == n.view.Load().owner(partition) {
		former.Store(0)
	}
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
