package bucket

import "time"

// account is one limit's part in a hit that is being decided: what the store
// had of it, and what becomes of that if every limit agrees.
type account struct {
	entry *entry // nil where nothing is kept
	state State  // before
	next  State  // after the charge
	wait  int64  // 0: it agrees
}

// settle decides a hit of n tokens on all limits of a rule at once, given the
// state of each, and leaves in each account what it will be. It is all or
// nothing: of the accounts only those from place from to before place to may be
// written back, which are all limits, all penalties or none.
func settle(terms []term, plain int, accounts []account, n uint64, m moment) (v Verdict, from, to int) {
	longest := -1
	for i := range terms[:plain] {
		a := &accounts[i]
		a.next, a.wait = terms[i].take(a.state, n, m)
		if a.wait > 0 && (longest < 0 || a.wait > accounts[longest].wait) {
			longest = i
		}
	}
	if plain < len(terms) {
		longest, from, to = penalize(terms, plain, accounts, longest, n > 0, m)
	}
	if longest >= 0 {
		v := verdict(terms, accounts[longest].state, longest, m.now)
		v.RetryAfter = time.Duration(accounts[longest].wait)
		return v, from, to
	}
	tightest := verdict(terms, accounts[0].next, 0, m.now)
	delay := terms[0].delay(accounts[0].state, m.now)
	for i := 1; i < plain; i++ {
		if v := verdict(terms, accounts[i].next, i, m.now); v.nearer(tightest) {
			tightest = v
		}
		delay = max(delay, terms[i].delay(accounts[i].state, m.now))
	}
	tightest.Allowed, tightest.Delay = true, time.Duration(delay)
	return tightest, 0, plain
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
