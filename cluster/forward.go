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
	maxPause   = 16 * time.Millisecond
	// maxHints is how many hints a hit follows in a row.
	maxHints = 2
)

// decides reports whether hits of a partition may be decided here: its token is here, and
// this replica has not stood still.
func (n *Node) decides(partition int, now int64) bool {
	return n.parts.holds(partition) && !n.stoodStill(now)
}

// decide decides a hit of this replica here, if the token of its partition is here and
// it has not stood still. It writes the verdict to v, which is zero before.
func (n *Node) decide(v *bucket.Verdict, h *transport.Hit, now int64) (ok bool) {
	if !n.decides(partition(h), now) {
		return false
	}
	held := &n.parts.held[partition(h)]
	if scale := int(n.scale.Load()); scale > 1 || h.Peek || h.Speaks() {
		return n.decideOdd(v, held, h, now, scale)
	}
	return n.store.TakeHeld(v, held, h.Rule, h.Digest, h.Tokens, now)
}

// decideRun is decide for a hit that stands for several, where run isn't nil: what they
// are told goes there, or to v if all are told the same.
func (n *Node) decideRun(v *bucket.Verdict, run *bucket.Run, h *transport.Hit, now int64) (ok bool) {
	if run == nil || h.Peek {
		return n.decide(v, h, now)
	}
	p := partition(h)
	return n.decides(p, now) &&
		n.store.TakeRun(run, &n.parts.held[p], h.Rule, h.Digest, h.Tokens, h.Count, now, int(n.scale.Load()))
}

// partition is where the hit's key lies.
func partition(h *transport.Hit) int { return ring.Partition(h.Digest.Hi) }

// forward has a hit decided by whoever holds the token of its partition, and leaves the
// verdict in the call's answer, which is zero before. If that can't be asked in half of
// the time, others may know more.
func (n *Node) forward(c *transport.Call, now, expire int64) Path {
	until := expire
	if len(n.view.Load().members) > 2 {
		until = now + (expire-now)/2
	}
	sent, ok := n.askHolder(c, now, until)
	n.hot.settle(&c.Hit)
	if !ok {
		return n.forwardElsewhere(c, sent, now, expire)
	}
	n.observe(c.Answer.At, now)
	return PathForwarded
}

// forwardElsewhere has a hit that was sent in vain decided by others than its holder, and
// if they can't by the rule's failure policy.
func (n *Node) forwardElsewhere(c *transport.Call, sent sentHit, now, expire int64) (by Path) {
	h := c.Hit // a copy, as it may still be read where it was sent
	if sent.number == 0 {
		n.hot.takeBack(&h)
	}
	h.Refused, h.Statement = 0, transport.Statement{} // nobody else answers these
	v, ok, by := &c.Answer.Verdict, false, PathForwarded
	if !sent.lost {
		*v, ok = n.askOthers(&h, sent, expire)
	}
	ended := n.now()
	if !ok {
		n.counters.byPolicy.Add(1)
		by = PathPolicy
		if *v, ok = n.decideAlone(&h, ended); !ok {
			*v = n.degrade(&h, sent.moving, ended, len(n.view.Load().members))
		}
	}
	n.observe(ended, now)
	return by
}

// observe notes that a hit which was asked at asked was decided elsewhere. answered is 0
// if that turned out to be here.
func (n *Node) observe(answered, asked int64) {
	if answered == 0 {
		answered = n.now()
	}
	n.counters.forwarding.observe(answered - asked)
}

// sentHit says to whom a hit was sent in vain. It may have been debited there,
// unless the number is 0. moving says instead that nobody was silent, but the token
// of its partition was on its way, and lost that it may have been debited under no
// number: then nobody else may be asked, who couldn't know of it.
type sentHit struct {
	to     *member
	number uint64
	moving bool
	lost   bool
}

// holder is the member that a hit should go to, as far as is known here: the last
// known holder of the partition's token, or the one that should be.
func (n *Node) holder(v *view, partition int) *member {
	if hint := n.parts.trails[partition].hint.Load(); hint != 0 {
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
// token is on its way the hit waits for it. sent says something if it was in vain.
func (n *Node) askHolder(c *transport.Call, now, until int64) (sent sentHit, ok bool) {
	s := search{node: n, partition: partition(&c.Hit), pause: tokenPause}
	s.target = n.holder(n.view.Load(), s.partition)
	moved := n.parts.trails[s.partition].former.Load() != 0 // now, as the trail is at hand
	asked := now < until
	for ; now < until; now = n.now() {
		switch {
		case c.Answer.NotHeld: // says who was asked last
			hint := handoff.Boot(c.Answer.Hint)
			c.Answer = transport.Answer{}
			if came := n.relayToNewcomer(&c.Answer.Verdict, s.target, hint, &c.Hit, until); came != spared {
				return sentHit{lost: came == unknown}, came == decided
			}
			s.follow(hint, until)
		case s.target.peer == nil:
			if n.decide(&c.Answer.Verdict, &c.Hit, now) || n.decideHere(&c.Answer.Verdict, nil, &c.Hit, now) {
				return sentHit{}, true
			}
			s.wait(until)
		default:
			if err := s.target.peer.Ask(c, until); err != nil {
				return sentHit{to: s.target, number: c.Answer.Number}, false
			}
			if !c.Answer.NotHeld {
				if moved {
					n.found(s.partition, s.target)
				}
				n.hot.hear(&c.Hit, &c.Answer, now, c.Answer.At)
				return sentHit{}, true
			}
		}
	}
	return sentHit{moving: asked}, false
}

// search is a hit's way to the token of its partition.
type search struct {
	node      *Node
	partition int
	target    *member // whom to ask next
	hints     int     // that were followed
	pause     time.Duration
}

// follow goes where a hint says, or waits if that leads nowhere.
func (s *search) follow(hint handoff.Boot, until int64) {
	if next := s.node.next(s.partition, hint); next != nil && next != s.target && s.hints < maxHints {
		s.target, s.hints = next, s.hints+1
		return
	}
	s.wait(until)
}

// wait waits until a token has come here, or for a pause, each twice as long as the
// last. Then the search begins anew. The pauses have a bound, as tokens may come by the
// hundred while a hit waits for one of them.
func (s *search) wait(until int64) {
	n := s.node
	n.await(min(until, n.now()+int64(s.pause)))
	s.target, s.pause = n.holder(n.view.Load(), s.partition), min(2*s.pause, maxPause)
}

// relayToNewcomer sends a hit by way of m, who says that a boot has the token of whom
// this node hasn't heard. The outcome is spared if it has, or there is no such boot.
func (n *Node) relayToNewcomer(v *bucket.Verdict, m *member, b handoff.Boot, h *transport.Hit, until int64) (came outcome) {
	if b == 0 || n.view.Load().reach(b) != nil {
		return spared
	}
	*v, came = n.relay(m, sentHit{to: &member{id: b}}, h, until)
	return came
}

// next is whom to ask after one who gave this hint, or nil: without a hint, whoever
// the table named before it changed, as that one knows where the token went. A hint
// to this node, which hasn't the token, means that it is on its way from here to whoever
// gave it.
func (n *Node) next(partition int, hint handoff.Boot) *member {
	v := n.view.Load()
	m := v.reach(hint)
	if hint == 0 {
		m = v.reach(handoff.Boot(n.parts.trails[partition].former.Load()))
	}
	if m != nil && m.peer == nil && !n.parts.holds(partition) {
		return nil
	}
	return m
}

// found notes that a member had the token of a partition which had moved.
func (n *Node) found(partition int, m *member) {
	if m == n.view.Load().owner(partition) {
		n.parts.trails[partition].former.Store(0)
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
