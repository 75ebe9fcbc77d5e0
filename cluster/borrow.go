package cluster

import (
	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// spend takes a hit's tokens from the lease of its key, if they are there, and sees to
// it that more are asked for before it runs out.
func (t *hotKeys) spend(k *hotKey, l *lease, rule *bucket.Rule, tokens, now int64, v *bucket.Verdict) bool {
	seq := l.seq.Load() // before: a receipt must not say that the holder knows less than it does
	left, ok := l.spend(tokens, now)
	if !ok {
		return false
	}
	l.tell(v, left, now)
	v.Receipt = rule.LeaseReceipt(seq, t.id, tokens)
	if l.runsLow(left, now) && l.claim(now) {
		select {
		case t.low <- k:
		default:
			l.asking.Store(false)
		}
	}
	return true
}

// unspend gives tokens of a receipt back to the lease that they were spent from, if
// that is still as it was. lent says whether the receipt is of a lease at all.
func (t *hotKeys) unspend(d bucket.Digest, r *bucket.Receipt, now int64) (lent bool) {
	seq, id := r.Lease()
	if id != t.id {
		return false
	}
	if k := t.find(d); k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l := k.lease.Load(); l != nil {
			l.unspend(r.Tokens(), seq, now)
		}
	}
	return true
}

// ask has a hit that must be forwarded ask for tokens as well, if nobody else does.
func (t *hotKeys) ask(k *hotKey, l *lease, h *transport.Hit, now int64) {
	if l.early() || !l.claim(now) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.ended {
		l.asking.Store(false)
		return
	}
	h.Statement = l.state(t.seq.Add(1), false, now)
}

// hearLease notes what the holder says of leases.
func (t *hotKeys) hearLease(h *transport.Hit, a *transport.Answer, now int64) {
	if k := t.find(h.Digest); h.Statement.Seq != 0 && k.under(h.Rule) {
		k.mu.Lock()
		if l := k.lease.Load(); l != nil {
			l.hear(h.Statement.Seq, a, now)
		}
		k.mu.Unlock()
	}
	if a.Hot {
		t.warm(h, now)
	}
}

// warm makes a lease of a hit's key, with nothing in it, unless there is one.
func (t *hotKeys) warm(h *transport.Hit, now int64) {
	if k := t.find(h.Digest); k.under(h.Rule) && k.lease.Load() != nil || h.Peek || h.Rule.LeaseTerm() == 0 || t.refunded.has(h.Rule.Name(), now) {
		return
	}
	if k := t.of(h.Digest, h.Rule); k != nil {
		k.lease.CompareAndSwap(nil, newLease(h.Rule, now))
	}
}

// settle ends a statement: whether or not it was answered, another may be made.
func (t *hotKeys) settle(h *transport.Hit) {
	if h.Statement.Seq == 0 {
		return
	}
	k := t.find(h.Digest)
	if !k.under(h.Rule) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lease.Load(); l != nil && l.seq.Load() == h.Statement.Seq {
		l.lost(h.Statement.Seq)
		l.asking.Store(false)
	}
}

// end has what was lent of a key given back at the next sweep, and nothing more asked
// for.
func (k *hotKey) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.lease.Load(); l != nil {
		l.ended = true
	}
}

// renew asks the holder of a key for more tokens, or gives all back. It has been
// claimed.
func (n *Node) renew(k *hotKey, all bool) {
	l, now := k.lease.Load(), n.now()
	if l == nil {
		return
	}
	k.mu.Lock()
	if l.ended && !all {
		l.asking.Store(false)
		k.mu.Unlock()
		return
	}
	h := transport.Hit{Digest: k.digest, Rule: k.rule, Statement: l.state(n.hot.seq.Add(1), all, now)}
	k.mu.Unlock()
	n.say(&h)
}

// say tells the holder of a key what a hit of nothing takes along.
func (n *Node) say(h *transport.Hit) {
	var v bucket.Verdict
	now := n.now()
	if n.decide(&v, h, now) {
		n.hot.settle(h)
		return
	}
	n.counters.statements.Add(1)
	c := n.calls.Get()
	c.Hit = *h
	sent, ok := n.askHolder(c, now, now+int64(n.config.HitTimeout)-answerTime)
	n.calls.Put(c)
	n.hot.settle(h)
	if !ok && sent.number == 0 {
		n.hot.takeBack(h)
	}
}

// lend decides a hit that another replica has sent, or of this one about its own
// lease, by the token of its partition.
func (n *Node) lend(a *transport.Answer, h *transport.Hit, peer uint64, now int64) bool {
	held := &n.parts.held[partition(h)]
	n.penalize(h, now)
	s := &h.Statement
	said, ok := n.store.AskHeld(held, h.Rule, h.Digest, bucket.Ask{
		Tokens: h.Tokens, Peer: peer, Own: peer == uint64(n.parts.self),
		Seq: s.Seq, Have: s.Have, Back: s.Back, Want: s.Want,
	}, now, int(n.scale.Load()))
	if ok {
		a.Verdict, a.Hot = said.Verdict, said.Hot
		a.Grant = transport.Grant{Seq: said.Seq, Keep: said.Keep, Grant: said.Grant, Left: said.Left, Term: said.Term, Hold: said.Hold}
	}
	return ok
}

// lendSelf decides a hit of this replica that has a statement.
func (n *Node) lendSelf(v *bucket.Verdict, h *transport.Hit, now int64) bool {
	var a transport.Answer
	if !n.lend(&a, h, uint64(n.parts.self), now) {
		return false
	}
	n.hot.hear(h, &a, now, now)
	*v = a.Verdict
	return true
}

// giveBack returns everything that was lent to this replica, and has it decide nothing
// more by what it knows of others' keys.
func (n *Node) giveBack() {
	returns := n.hot.close()
	done := make(chan struct{}, len(returns))
	for _, h := range returns {
		n.once("giving back leases", func() {
			defer func() { done <- struct{}{} }()
			n.say(&h)
		})
	}
	for range returns {
		<-done
	}
}
