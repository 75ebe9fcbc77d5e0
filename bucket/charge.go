package bucket

import "time"

// account is one limit's part in a hit that is being decided: what the store
// had of it, and what becomes of that if every limit agrees.
type account struct {
	entry *entry // nil where nothing is kept
	state State  // before
	next  State  // after the charge
	wait  int64  // 0: it agrees
	log   log    // of a SlidingLog, what is behind state
	limit uint32 // the term's index in the numbering, if entry has that; or 0
}

// settle decides a hit of n tokens on all limits of a rule at once, given the
// state of each, and leaves in each account what it will be. It is all or
// nothing: unless the verdict allows the hit, nothing may be written back.
func settle(terms []term, accounts []account, n uint64, m moment) Verdict {
	longest := -1
	for i := range terms {
		a := &accounts[i]
		a.next, a.wait = terms[i].take(a.state, n, m)
		if a.wait > 0 && a.log.n > 0 && a.wait != int64(Never) {
			a.wait = terms[i].window.until(&a.log, n, m.now)
		}
		if a.wait > 0 && (longest < 0 || a.wait > accounts[longest].wait) {
			longest = i
		}
	}
	if longest >= 0 {
		v := verdict(terms, accounts[longest].state, longest, m.now)
		v.RetryAfter = time.Duration(accounts[longest].wait)
		return v
	}
	tightest := verdict(terms, accounts[0].next, 0, m.now)
	delay := terms[0].delay(accounts[0].state, m.now)
	for i := 1; i < len(terms); i++ {
		if v := verdict(terms, accounts[i].next, i, m.now); v.nearer(tightest) {
			tightest = v
		}
		delay = max(delay, terms[i].delay(accounts[i].state, m.now))
	}
	tightest.Allowed, tightest.Delay = true, time.Duration(delay)
	return tightest
}

// nearer reports whether v's limit will refuse before w's does.
func (v Verdict) nearer(w Verdict) bool {
	return v.Remaining < w.Remaining || v.Remaining == w.Remaining && v.ResetAfter > w.ResetAfter
}

// verdict describes the limit at place i in the state s.
func verdict(terms []term, s State, i int, now int64) Verdict {
	remaining, reset := terms[i].left(s, now)
	return Verdict{Limit: uint8(i), Remaining: remaining, ResetAfter: time.Duration(reset)}
}
