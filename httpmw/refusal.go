package httpmw

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Refusal is why a request doesn't reach its handler.
type Refusal struct {
	// Status is 429 for what is over a limit, 503 if that can't be known, and 400
	// if the request has no key or its cost can't be told.
	Status int
	// By is what refused, the longest wait first; empty if Err isn't nil.
	By []Decided
	// Err is why nothing was decided: the error of the key function, of the
	// CostFunc, of the limiter, or of the context that has ended before it was
	// the request's turn. It is for the log, not for the client.
	Err error
}

// RetryAfter returns when the request can pass, and false if that isn't known, or
// never.
func (f Refusal) RetryAfter() (time.Duration, bool) {
	if len(f.By) == 0 {
		return 0, false
	}
	return untilMore(&f.By[0].Decision)
}

// Penalized says whether a penalty refused, for having been refused too often.
func (f Refusal) Penalized() bool {
	if len(f.By) == 0 {
		return false
	}
	rule, l := f.By[0].Rule, f.By[0].Decision.Limit
	return slices.Contains(rule.Penalties(), l) && !slices.Contains(rule.Limits(), l)
}

// refusalBy is that by these decisions, at least one, the longest wait first. It is
// the client's fault if any of them is.
func refusalBy(by []Decided) Refusal {
	why := Refusal{Status: http.StatusServiceUnavailable, By: by}
	for i := range by {
		if !by[i].Decision.Degraded || by[i].Rule.FailurePolicy() != bucket.Deny {
			why.Status = http.StatusTooManyRequests
		}
	}
	return why
}

// refuse answers a request that one of the parts has refused. Their order changes.
func (m *middleware) refuse(w http.ResponseWriter, r *http.Request, parts []part) {
	if len(parts) > 1 {
		tell(w.Header(), parts) // for RateLimit-Policy, whose order stays the same
		slices.SortStableFunc(parts, byWait)
	}
	tell(w.Header(), parts) // and in RateLimit what is told last stands first
	var space [1]Decided
	by := space[:0]
	for i := range slices.Backward(parts) {
		if p := &parts[i]; p.asked && !p.Decision.Allowed {
			by = append(by, p.Decided)
		}
	}
	if m.answers.custom() {
		m.answers.refuse(w, r, refusalBy(append([]Decided(nil), by...)))
		return
	}
	problemOf(refusalBy(by)).write(w, r, m.answers.form(r)) // which keeps by off the heap
}

// byWait orders parts by what a refusal means: nothing of what has passed, and
// then the time until it can.
func byWait(a, b part) int {
	refused := func(p *part) int {
		if p.asked && !p.Decision.Allowed {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(refused(&a), refused(&b)), cmp.Compare(a.Decision.RetryAfter, b.Decision.RetryAfter))
}

// custom says whether the user has a say in the answers.
func (a *Answers) custom() bool { return a.Refused != nil || a.Message != nil }

// refuse tells a request's client that it doesn't reach the handler.
func (a *Answers) refuse(w http.ResponseWriter, r *http.Request, why Refusal) {
	if a.Refused != nil {
		answer := &response{ResponseWriter: w, status: why.Status, commit: func(int) {}}
		w.Header().Set("Cache-Control", "no-store")
		a.Refused(answer, r, why)
		answer.begin()
		return
	}
	p := problemOf(why)
	if a.Message != nil {
		p.Detail = a.Message(r, why)
	}
	p.write(w, r, a.form(r))
}
