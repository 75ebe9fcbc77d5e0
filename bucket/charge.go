package bucket

import "time"

// account is one limit's part in a hit that is being decided: what the store
// had of it, and what becomes of that if every limit agrees.
type account struct {
	entry *entry // nil where the bucket is full and nothing is kept
	debt  span   // before
	after span   // after the charge
	wait  int64  // 0: it agrees
}

// settle decides a hit of n tokens on all limits of a rule at once, given the
// debt of each, and leaves in each account what it will owe. It is all or
// nothing: unless the verdict allows the hit, nothing may be written back.
func settle(terms []term, accounts []account, n uint64) Verdict {
	longest := -1
	for i := range terms {
		a := &accounts[i]
		a.after, a.wait = terms[i].charge(a.debt, n)
		if a.wait > 0 && (longest < 0 || a.wait > accounts[longest].wait) {
			longest = i
		}
	}
	if longest >= 0 {
		v := verdict(terms, accounts[longest].debt, longest)
		v.RetryAfter = time.Duration(accounts[longest].wait)
		return v
	}
	tightest := verdict(terms, accounts[0].after, 0)
	for i := 1; i < len(terms); i++ {
		if v := verdict(terms, accounts[i].after, i); v.nearer(tightest) {
			tightest = v
		}
	}
	tightest.Allowed = true
	return tightest
}

// nearer reports whether v's limit will refuse before w's does.
func (v Verdict) nearer(w Verdict) bool {
	return v.Remaining < w.Remaining || v.Remaining == w.Remaining && v.ResetAfter > w.ResetAfter
}

// verdict describes the limit at place i with debt d.
func verdict(terms []term, d span, i int) Verdict {
	return Verdict{
		Limit:      uint8(i),
		Remaining:  terms[i].remaining(d),
		ResetAfter: time.Duration(d.ceil()),
	}
}
