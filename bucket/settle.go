package bucket

import "time"

// account is one limit's part in a hit that is being decided: what the store
// had of it, and what becomes of that if every limit agrees.
type account struct {
	entry *entry // nil where nothing is kept of the key itself
	share *entry // then the overflow entry that it starts from, or is charged to
	state State  // before
	next  State  // after the charge
	wait  int64  // 0: it agrees
	log   log    // of a SlidingLog, what is behind state
	lease *lease // where tokens of the key are lent; state is at its floor then
	kept  int64  // for how long the log was kept
	limit uint32 // the term's index in the numbering, if entry has that; or 0
}

// take has the term decide on n tokens.
func (a *account) take(t *term, n uint64, m moment) {
	a.next, a.wait = t.take(a.state, n, m)
	switch {
	case a.wait == 0 || a.wait == int64(Never):
	case a.log.n > 0:
		a.wait = t.window.until(a, n, m.now)
	case a.lease != nil:
		a.wait = a.lease.until(t, a.state, n, m)
	}
}

// settle decides a hit of n tokens on all limits of a rule at once, given the
// state of each, writes the verdict to v, and leaves in each account what it will
// be. It is all or nothing: of the accounts only those from place from to before
// place to may be written back, which are all limits, all penalties or none.
func settle(v *Verdict, terms []term, plain int, accounts []account, n uint64, m moment) (from, to int) {
	longest := -1
	for i := range terms[:plain] {
		a := &accounts[i]
		a.take(&terms[i], n, m)
		if a.wait > 0 && (longest < 0 || a.wait > accounts[longest].wait) {
			longest = i
		}
	}
	if plain < len(terms) {
		longest, from, to = penalize(terms, plain, accounts, longest, n > 0, m)
	}
	if longest >= 0 {
		a := &accounts[longest]
		v.Limit, v.RetryAfter = uint8(longest), time.Duration(a.wait)
		remaining, reset := terms[longest].left(a.state, m.now)
		v.Remaining, v.ResetAfter = remaining, time.Duration(reset)
		return from, to
	}
	v.Allowed = true
	for i := range terms[:plain] {
		remaining, reset := terms[i].left(accounts[i].next, m.now)
		if i == 0 || remaining < v.Remaining || remaining == v.Remaining && time.Duration(reset) > v.ResetAfter {
			v.Limit, v.Remaining, v.ResetAfter = uint8(i), remaining, time.Duration(reset) // the nearest to refusing
		}
		v.Delay = max(v.Delay, time.Duration(terms[i].delay(accounts[i].state, m.now)))
	}
	return 0, plain
}
