package bucket

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// AskHeld is TakeHeld for a hit that another replica has sent, or that comes with a
// statement about the lease of its key. What is given back can be taken by the hit,
// and what is left after it is granted. The hit is decided even where the statement
// is older than the peer's latest and has no effect: that no message is heard twice
// is the caller's affair. While replicas is above 1 no statement has any.
func (s *Store) AskHeld(held *atomic.Int64, rule *Rule, d Digest, a Ask, now int64, replicas int) (answer Answer, ok bool) {
	if a.Tokens < 0 {
		return Answer{Verdict: Verdict{RetryAfter: Never}}, true
	}
	a.clamp()
	var space [MaxLimits]term
	h, lasts := hit{rule.terms, rule.plain, rule.print, d, a.Tokens, now}, int64(rule.LeaseTerm())
	if replicas > 1 {
		h.terms, h.print, lasts = rule.shares(space[:], replicas), rule.shareprint(replicas), 0
	}
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	since, ok := heldSince(held)
	if !ok {
		return answer, false
	}
	if lasts == 0 {
		s.decide(&answer.Verdict, sh, &h)
		return answer, true
	}
	m := moment{now, satAdd(s.epoch, now)}
	l, i := s.holder(sh, &h, &a, since, m)
	if i >= 0 && a.Seq > l.holders[i].seq {
		s.lend(&answer, sh, l, i, rule, &h, &a, lasts, m)
	} else {
		s.decide(&answer.Verdict, sh, &h)
	}
	answer.Leased = l != nil && l.elsewhere()
	answer.Hot = answer.Leased && (a.Own || i >= 0) || !a.Own && !s.lent[shardOf(d)].full() && s.hot(rule, d, a.Peer, 1, now)
	return answer, true
}

// Heat counts hits of a peer that were decided in another way than by AskHeld, and
// reports whether it is worth the peer's while to lease the key.
func (s *Store) Heat(rule *Rule, d Digest, peer uint64, hits int, now int64) (hot bool) {
	return s.hot(rule, d, peer, int64(hits), now) && s.lends(d)
}

// lends reports whether one more key of the shard may be leased.
func (s *Store) lends(d Digest) bool {
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return !s.lent[shardOf(d)].full()
}

// holder returns what is lent of a key, and the place of the one who asks among
// those who hold it, -1 if it has none. Whoever wants something gets one, at first
// with nothing in it: by then it begins to have a right to a share of what comes
// back.
func (s *Store) holder(sh *shard, h *hit, a *Ask, since int64, m moment) (*lease, int) {
	l := s.lease(sh, h.digest, m)
	if l != nil {
		if i := l.find(a.Peer, since); i >= 0 {
			return l, i
		}
	}
	if a.Seq == 0 || a.Want == 0 || a.Own && (l == nil || !l.elsewhere()) {
		return l, -1
	}
	if l == nil {
		if !s.room(&sh.table, h.terms, h.digest, m.now) {
			return nil, -1 // what it shares isn't lent
		}
		if l = s.begin(h.digest, m.now); l == nil {
			return nil, -1
		}
	}
	if len(l.holders) == maxHolders {
		return l, -1
	}
	l.holders = append(l.holders, holder{peer: a.Peer, own: a.Own, since: since, expires: m.now, granted: m.now})
	return l, len(l.holders) - 1
}

// begin makes a lease of a key, unless the shard has too many.
func (s *Store) begin(d Digest, now int64) *lease {
	lent := &s.lent[shardOf(d)]
	if lent.full() {
		s.endLeases(shardOf(d), now)
	}
	if lent.full() || lent.leases[d.Hi] != nil {
		return nil
	}
	l := &lease{digest: d}
	lent.add(l)
	s.leased.Add(1)
	return l
}

// lend hears the statement of holder i, decides its hit, and grants what it may.
// lasts is the rule's LeaseTerm.
func (s *Store) lend(answer *Answer, sh *shard, l *lease, i int, rule *Rule, h *hit, a *Ask, lasts int64, m moment) {
	l.terms = rule.terms[:rule.plain]
	var space [MaxLimits]account
	accounts := space[:len(h.terms)]
	s.catchUp(&sh.table, h.terms, h.digest, m.now)
	for j := range h.terms {
		s.open(&accounts[j], sh, &h.terms[j], h.digest, m)
	}
	if !s.numbered(accounts, h.terms) {
		answer.Verdict = Verdict{Degraded: true, RetryAfter: fullRetry}
		return
	}
	l.lower(&answer.Verdict, h, accounts, m) // before out falls
	changed := l.out > 0
	kept, back := l.hear(i, a)
	for j := range accounts {
		accounts[j].state = h.terms[j].credit(accounts[j].state, back, m.now)
	}
	settle(&answer.Verdict, h.terms, h.plain, accounts, uint64(h.n), m)
	if answer.Allowed && h.n > 0 {
		s.write(&answer.Receipt, h, accounts)
		changed = true
	} else {
		for j := range accounts {
			accounts[j].next = accounts[j].state
		}
	}
	if back > 0 {
		sh.table.aside.refunds.returned(h.digest, m.now)
	}
	answer.Seq, answer.Keep = a.Seq, kept
	l.grant(answer, i, h, a, accounts, lasts, m)
	if changed || answer.Grant > 0 {
		s.close(accounts, &sh.table, h.terms, h.digest, m.now, true)
	}
}

// grant lends holder i a share of what there is.
func (l *lease) grant(answer *Answer, i int, h *hit, a *Ask, accounts []account, lasts int64, m moment) {
	holder, ends, want := &l.holders[i], satAdd(m.now, lasts+lasts/4), a.Want
	if a.Own && !l.elsewhere() {
		want = 0
	}
	free := int64(math.MaxInt64)
	for j := range h.terms {
		t, next := &h.terms[j], accounts[j].next
		left, _ := t.left(next, m.now)
		free = min(free, left)
		if t.slow(lasts) && left <= t.numbers.burst/slowReserve {
			want = 0
		}
		if t.windowed() { // a lease ends in the window, by anybody's clock
			if next.full(m.now) {
				next = t.window.open(next, m)
			}
			ends = min(ends, next.at)
		}
	}
	if over := ends-m.now < int64(leastRest); !over {
		g, scarce := l.share(holder, want, free, lasts, h.terms, m.now)
		if g > 0 {
			for j := range h.terms {
				accounts[j].next, _ = h.terms[j].take(accounts[j].next, uint64(g), m)
			}
			holder.granted = m.now
		}
		if scarce {
			answer.Hold = hold(int64(LeasePace), h.digest, a)
		}
		answer.Grant = g
		l.out, holder.left = l.out+g, holder.left+g
	}
	answer.Left = free - answer.Grant
	if holder.left > 0 || want > 0 { // what it keeps goes on
		holder.expires = max(holder.expires, ends)
		answer.Term = time.Duration(min(lasts, ends-m.now) / 32 * 31)
	}
	l.schedule()
}

// share is how many of the free tokens a holder gets that wants some: as many as it
// wants of all that is wanted, by those who hold a lease, of what is free or has come
// back since it got some last. The latter is its own, whoever asks more often. They are
// scarce if that is less than it wants. No more than a part of the burst is lent, but
// that is no reason to refuse what there is: it can be asked for hit by hit.
func (l *lease) share(one *holder, want, free, lasts int64, terms []term, now int64) (g int64, scarce bool) {
	all := int64(0)
	for i := range l.holders {
		all += l.holders[i].wants
	}
	if want == 0 || all == 0 {
		return 0, false
	}
	burst, back := int64(math.MaxInt64), int64(math.MaxInt64)
	for i := range terms {
		n := &terms[i].numbers
		burst, back = min(burst, n.burst), min(back, scale(min(now-one.granted, lasts), n.count, n.per))
	}
	pool := max(free, back)
	fair := min(want, free, scale(pool, one.wants, all))
	if g = min(fair, burst/burstShare-l.out); g < min(leastGrant, want) {
		g = 0
	}
	return g, fair < want
}

// scale is n·part/whole, rounded down, which must be no more than there are numbers
// for: a part is no more than the whole, and what comes back in a lease's time no more
// than an eighth of the burst.
func scale(n, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(max(n, 0)), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}

// hold is pace, give or take a quarter.
func hold(pace int64, d Digest, a *Ask) time.Duration {
	by, _ := bits.Mul64(mix(d.Lo^mix(a.Peer^mix(a.Seq))), uint64(pace/2))
	return time.Duration(pace - pace/4 + int64(by))
}
