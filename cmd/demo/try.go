package main

import (
	"context"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// try decides by any limits for any key, which the query or a form names. limit is
// required, and is all that a rule in text has after its name: limits of every
// form, penalties, a failure policy and a mode. key is "demo" and cost 1 by default;
// a cost of 0 looks without taking. Under a concurrency limit the request goes on for
// ms milliseconds.
type try struct{ node *cluster.Node }

// decision is a bucket.Decision as JSON.
type decision struct {
	Allowed     bool     `json:"allowed"`
	Limit       string   `json:"limit"` // that refused, or is nearest to refusing
	Remaining   int64    `json:"remaining"`
	RetryAfter  *float64 `json:"retry_after"` // seconds; null if no wait is long enough, or nobody knows
	ResetAfter  *float64 `json:"reset_after"` // seconds; null if nobody knows
	Delay       *float64 `json:"delay"`       // seconds to wait before going on, if allowed
	Degraded    bool     `json:"degraded"`
	WouldRefuse bool     `json:"would_refuse"` // but for the mode shadow
	Owner       string   `json:"owner"`        // the replica that holds the key's state
}

// ServeHTTP implements http.Handler.
func (t try) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := parseTry(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	leave, d, err := t.enter(r.Context(), q)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer leave()
	httpmw.SetHeaders(w.Header(), q.rule, d)
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if !d.Allowed {
		status = http.StatusTooManyRequests
	} else if !hold(r.Context(), q.hold) {
		return
	}
	answer := decision{
		Allowed:     d.Allowed,
		Limit:       d.Limit.String(),
		Remaining:   d.Remaining,
		RetryAfter:  seconds(d.RetryAfter),
		ResetAfter:  seconds(d.ResetAfter),
		Delay:       seconds(d.Delay),
		Degraded:    d.Degraded,
		WouldRefuse: d.WouldRefuse,
		Owner:       t.node.Owner(q.rule, q.key),
	}
	if d.Limit.Algorithm == bucket.Concurrent { // nobody knows when what runs will end
		answer.RetryAfter, answer.ResetAfter = nil, nil
	}
	writeJSON(w, status, answer)
}

// enter takes what the request costs: tokens, or a slot until leave is called.
func (t try) enter(ctx context.Context, q trial) (leave func(), d bucket.Decision, err error) {
	if _, concurrent := q.rule.Concurrent(); concurrent {
		return t.node.Acquire(ctx, q.rule, q.key)
	}
	d, err = t.node.Take(ctx, q.rule, q.key, q.cost)
	return func() {}, d, err
}

// seconds rounds up to the millisecond, so that a client that waits that long
// has waited long enough.
func seconds(d time.Duration) *float64 {
	if d == bucket.Never {
		return nil
	}
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	s := float64(ms) / 1000
	return &s
}
