package cluster

import (
	"math"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// refuses is denial's, for what is certain of a hit that costs more as well, and counts
// what the penalties have to know. v stays zero where it isn't refused.
func (k *hotKey) refuses(n, now int64, v *bucket.Verdict) bool {
	more, refused := k.denial.refuses(n, now, v)
	if !refused {
		return false
	}
	// Else a penalty refuses, which costs nothing, and says nothing of how long a hit
	// that costs more has to wait for the limit.
	plain := int(v.Limit) < len(k.limits)
	if more > 0 && n <= k.most && !(k.alike && plain) {
		*v = bucket.Verdict{}
		return false
	}
	if k.penal && plain {
		k.refusals.Add(1)
	}
	switch {
	case n > k.most:
		v.RetryAfter = bucket.Never
	case more > 0 && plain:
		v.RetryAfter = rest(satAdd(int64(v.RetryAfter), int64(longer(&k.limits[v.Limit], more))), 0)
	}
	return true
}

// hear notes what the holder has answered to a hit that was asked at asked.
func (t *hotKeys) hear(h *transport.Hit, a *transport.Answer, asked, now int64) {
	v := &a.Verdict
	if v.Degraded {
		return
	}
	if a.Hot && !h.Whole || h.Statement.Seq != 0 {
		t.hearLease(h, a, now)
	}
	switch {
	case h.Tokens == 0 || asked <= t.reset.Load():
	case v.Allowed:
		if k := t.find(h.Digest); k != nil {
			k.forgive(h.Tokens)
		}
	case !h.Peek:
		most := denialCap
		if t.returned.has(h.Rule.Name(), now) {
			most = returnedCap
		}
		if asked+int64(min(v.RetryAfter, most)) <= now {
			return
		}
		if k := t.of(h.Digest, h.Rule); k != nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.denial.note(h.Tokens, asked, now, v, most)
		}
	}
}

// forgive refuses n tokens of the key no more by what is known here.
func (k *hotKey) forgive(n int64) {
	if k.denial.until.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denial.clear(n)
}

// forget forgets what has been refused of a key that is reset. What was lent of it
// goes on: its holder still has it for lent.
func (t *hotKeys) forget(d bucket.Digest, now int64) {
	t.reset.Store(now)
	k := t.find(d)
	if k == nil {
		return
	}
	k.refusals.Store(0)
	k.askAgain()
}

// askAgain has the holder asked about the key again, whatever it has refused.
func (k *hotKey) askAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denial.clear(math.MaxInt64)
	if l := k.lease.Load(); l != nil {
		l.scarce.Store(false)
		l.next.Store(0)
	}
}

// takeBack has refusals of a key told again that its holder has certainly not heard.
func (t *hotKeys) takeBack(h *transport.Hit) {
	if k := t.find(h.Digest); h.Refused > 0 && k.under(h.Rule) {
		k.refusals.Add(h.Refused)
	}
}

// refund notes that what was taken of a key in that manner is given back: others' may be,
// and refusals of the rule's keys can't be relied on for long. What is spent from a lease
// can be given back for a moment only: unless it never is, the keys are leased no more.
func (t *hotKeys) refund(d bucket.Digest, rule *bucket.Rule, how manner, now int64) {
	if how != together && t.refunded.add(rule.Name(), now) {
		t.each(rule, (*hotKey).end)
	}
	if t.returned.add(rule.Name(), now) {
		t.each(rule, func(k *hotKey) { k.forgive(math.MaxInt64) })
	}
	if k := t.find(d); k != nil {
		k.askAgain()
	}
}

// each calls f for all keys of a rule.
func (t *hotKeys) each(rule *bucket.Rule, f func(*hotKey)) {
	for i := range t.slots {
		if k := t.slots[i].Load(); k != nil && k.rule.Name() == rule.Name() {
			f(k)
		}
	}
}
