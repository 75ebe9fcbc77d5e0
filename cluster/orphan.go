package cluster

import (
	"math/rand/v2"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/transport"
)

// A hit whose holder doesn't answer is an orphan. Whoever else may know more of its
// partition is asked: its standby, which has a copy of the buckets, its owner where
// the table has just changed, and some third replica, which may reach the holder
// where the others don't. They pass the hit on if they can reach the holder. Only
// an heir that can't decides by its copy.

// askOthers has a hit that was sent in vain decided by others than its holder.
func (n *Node) askOthers(hit *transport.Hit, sent sentHit, expire int64) (bucket.Verdict, bool) {
	h := *hit
	h.Orphan = sent.number != 0
	v, p := n.view.Load(), partition(hit)
	for _, m := range [...]*member{v.owner(p), v.standby(p)} {
		if m == sent.to || !m.alive() {
			continue
		}
		ask := n.askOther
		if m.peer == nil {
			ask = n.askSelf
		}
		if verdict, ok := ask(m, &h, sent, expire); ok {
			return verdict, true
		}
	}
	return bucket.Verdict{}, false
}

// askOther has an orphan decided by m, or by its holder by way of m.
func (n *Node) askOther(m *member, h *transport.Hit, sent sentHit, expire int64) (bucket.Verdict, bool) {
	answer, err := n.askMember(m, h, expire)
	switch {
	case err != nil:
		return bucket.Verdict{}, false
	case !answer.NotHeld:
		return answer.Verdict, true
	case sent.to == nil || answer.Hint != uint64(sent.to.id):
		return bucket.Verdict{}, false
	}
	verdict, came := n.relay(m, sent, h, expire)
	if came != spared {
		return verdict, came == decided
	}
	h.Orphan = false
	answer, err = n.askMember(m, h, expire)
	return answer.Verdict, err == nil && !answer.NotHeld
}

// askMember has a hit decided by m, and returns a copy of the answer.
func (n *Node) askMember(m *member, h *transport.Hit, expire int64) (transport.Answer, error) {
	c := n.calls.Get()
	c.Hit = *h
	err := m.peer.Ask(c, expire)
	answer := c.Answer
	n.calls.Put(c)
	return answer, err
}

// askSelf has an orphan decided by its holder by way of somebody, or else here.
func (n *Node) askSelf(_ *member, h *transport.Hit, sent sentHit, expire int64) (bucket.Verdict, bool) {
	switch verdict, came := n.relayBySomebody(sent, h, expire); came {
	case decided:
		return verdict, true
	case spared:
		h.Orphan = false
	}
	if n.doubtful(h, n.now()) != 0 {
		return bucket.Verdict{}, false
	}
	var v bucket.Verdict
	ok := n.decideHere(&v, nil, h, n.now())
	return v, ok
}

// relayBySomebody sends an orphan to its holder by way of a third replica. If that
// can't reach it either, nobody tries again for a moment.
func (n *Node) relayBySomebody(sent sentHit, h *transport.Hit, expire int64) (bucket.Verdict, outcome) {
	if sent.to == nil || n.now() < n.lost.until(sent.to.id) {
		return bucket.Verdict{}, unknown
	}
	members := n.view.Load().members
	for i, first := 0, rand.N(len(members)); i < len(members); i++ {
		m := members[(first+i)%len(members)]
		if m.peer == nil || m == sent.to || !m.alive() {
			continue
		}
		verdict, came := n.relay(m, sent, h, expire)
		if came == unknown {
			n.lost.add(sent.to.id, n.now())
		}
		return verdict, came
	}
	return bucket.Verdict{}, unknown
}

// doubtful returns who may have debited an orphan before the token came here from
// there, or 0: that one remembers.
func (n *Node) doubtful(h *transport.Hit, now int64) handoff.Boot {
	if !h.Orphan {
		return 0
	}
	since := n.parts.held[partition(h)].Load()
	if since == 0 || now-since >= int64(n.config.HitTimeout) {
		return 0
	}
	return handoff.Boot(n.parts.came[partition(h)].Load())
}

// decideHere decides a hit by the token, or by the copy that is here if its holder
// is gone and this node its heir. v and run are as with decideRun.
func (n *Node) decideHere(v *bucket.Verdict, run *bucket.Run, h *transport.Hit, now int64) (ok bool) {
	if n.decideRun(v, run, h, now) {
		return true
	}
	p := partition(h)
	holder := handoff.Boot(n.parts.kept[p].Load())
	view := n.view.Load()
	if holder == 0 || view.reach(holder).alive() || n.stoodStill(now) {
		return false
	}
	if heir := view.heir(p, holder); heir == nil || heir.peer != nil {
		return false
	}
	n.counters.byStandby.Add(int64(max(h.Count, 1)))
	if run != nil && !h.Peek {
		n.store.TakeRun(run, nil, h.Rule, h.Digest, h.Tokens, h.Count, now, int(n.scale.Load()))
		run.Degrade()
	} else {
		*v = takeShare(n.store, h, now, int(n.scale.Load()))
		v.Degraded = true
	}
	if !h.Peek {
		n.parts.owe(p)
	}
	return true
}
