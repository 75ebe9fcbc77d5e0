package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter decides. *cluster.Node is one.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
}

// Acquirer is what a Limiter must be too for rules that limit what runs at a time.
// *cluster.Node is one.
type Acquirer interface {
	// Acquire decides whether one more request of key may run, and counts it until
	// release is called. Without an error release isn't nil.
	Acquire(ctx context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error)
}

// Refunder is what a Limiter must be too for [ChargeIf]. *cluster.Node is one.
type Refunder interface {
	// Refund gives back what the decision with this receipt took from key.
	Refund(ctx context.Context, rule *bucket.Rule, key string, receipt bucket.Receipt) error
}

// MultiTaker is what a Limiter must be too for [And], unless that is about what
// runs at a time. *cluster.Node is one.
type MultiTaker interface {
	// TakeAll decides the charges, all or nothing, and returns the decisions in
	// their order. If any of them refuses, nothing stays charged.
	TakeAll(ctx context.Context, charges []bucket.Charge) ([]bucket.Decision, error)
}

// KeyFunc says what a request is counted under: an address, a user, an API key.
// It may be called by many goroutines at once. An empty key is an error, too.
// [ErrExempt] exempts the request.
type KeyFunc func(*http.Request) (key string, err error)

// New returns a middleware that takes one token from the request's key for each
// request, or under a concurrency limit a slot while its handler runs; the limiter
// must be an [Acquirer] for that. Handlers that are wrapped by the same rule share
// its limits, as do all replicas. Options change that. The error names all that is
// missing.
func New(l Limiter, rule *bucket.Rule, key KeyFunc, opts ...Option) (func(http.Handler) http.Handler, error) {
	m := &middleware{limiter: l, charges: []charge{{rule: rule, key: key, cost: 1}}}
	m.acquirer, _ = l.(Acquirer)
	m.multi, _ = l.(MultiTaker)
	m.refunder, _ = l.(Refunder)
	var errs []error
	if l == nil {
		errs = append(errs, errors.New("httpmw: no limiter; give New a *cluster.Node"))
	}
	for _, o := range opts {
		if o == nil {
			errs = append(errs, errNilOption)
			continue
		}
		errs = append(errs, o.apply(m))
	}
	for i := range m.charges {
		errs = append(errs, m.charges[i].validate(i == 0))
	}
	if l != nil {
		errs = append(errs, m.validate())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range m.charges {
		if c := &m.charges[i]; c.rule != nil {
			c.fields = newFields(c.rule, &m.answers)
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}, nil
}

type middleware struct {
	limiter    Limiter
	acquirer   Acquirer   // nil if the limiter is none
	multi      MultiTaker // nil if the limiter is none
	refunder   Refunder   // nil if the limiter is none
	charges    []charge   // at least one
	skips      []func(*http.Request) bool
	preflights bool
	chargeIf   func(int, http.Header) bool // nil to charge everything
	answers    Answers
	known      cache // fields of rules that RuleBy chose
}

// validate reports what the limiter lacks.
func (m *middleware) validate() error {
	var errs []error
	rates := 0
	for i := range m.charges {
		switch rule := m.charges[i].rule; {
		case rule == nil || !concurrent(rule):
			rates++
		case m.acquirer == nil:
			errs = append(errs, needs(rule, m.limiter))
		}
	}
	if rates > 1 && m.multi == nil {
		errs = append(errs, fmt.Errorf("httpmw: And charges %d rules at once, and the limiter, a %T, has no method TakeAll; give New a *cluster.Node, or put one middleware around another", rates, m.limiter))
	}
	if m.chargeIf == nil {
		return errors.Join(errs...)
	}
	if m.refunder == nil {
		errs = append(errs, fmt.Errorf("httpmw: ChargeIf gives back, and the limiter, a %T, has no method Refund; give New a *cluster.Node", m.limiter))
	}
	if rates == 0 {
		errs = append(errs, errors.New("httpmw: ChargeIf, and only rules that limit what runs at a time, which charge nothing; give New a rule such as 10/minute"))
	}
	return errors.Join(errs...)
}

// needs says that the limiter is no Acquirer.
func needs(rule *bucket.Rule, l Limiter) error {
	return fmt.Errorf("httpmw: rule %q limits what runs at a time, and the limiter, a %T, has no method Acquire; give New a *cluster.Node, or the rule a limit such as 10/second", rule.Name(), l)
}

// exempts says whether a request isn't limited at all.
func (m *middleware) exempts(r *http.Request) bool {
	if r.Method == http.MethodOptions && !m.preflights {
		return true
	}
	for _, skip := range m.skips {
		if skip(r) {
			return true
		}
	}
	return false
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if m.exempts(r) {
		next.ServeHTTP(w, r)
		return
	}
	var one [1]part
	space := one[:]
	if len(m.charges) > 1 {
		space = make([]part, len(m.charges))
	}
	parts, err := m.parts(space, r)
	if err != nil {
		m.answers.refuse(w, r, Refusal{Status: http.StatusBadRequest, Err: err})
		return
	}
	if len(parts) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	defer leave(parts)
	if err := m.take(r.Context(), parts); err != nil {
		m.answers.refuse(w, r, Refusal{Status: http.StatusServiceUnavailable, Err: err})
		return
	}
	note(r.Context(), parts)
	allowed, delay := outcome(parts)
	if !allowed {
		leave(parts) // before the answer is on its way
		m.refuse(w, r, parts)
		return
	}
	if err := wait(r.Context(), delay); err != nil {
		tell(w.Header(), parts)
		m.answers.refuse(w, r, Refusal{Status: http.StatusServiceUnavailable, Err: err})
		return
	}
	if m.chargeIf != nil {
		m.settle(w, r, next, slices.Clone(parts))
		return
	}
	tell(w.Header(), parts)
	next.ServeHTTP(w, r)
}

// outcome is what the parts come to, and the longest of their delays.
func outcome(parts []part) (allowed bool, delay time.Duration) {
	for i := range parts {
		if !parts[i].asked {
			continue
		}
		if !parts[i].Decision.Allowed {
			return false, 0
		}
		delay = max(delay, parts[i].Decision.Delay)
	}
	return true, delay
}

// tell sets the headers about all parts that were decided.
func tell(h http.Header, parts []part) {
	for i := range parts {
		if p := &parts[i]; p.asked {
			p.fields.set(h, &p.Decision)
		}
	}
}

// wait waits for a request's turn. The error, at once if that can be told, says
// that the context ends before.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return context.DeadlineExceeded
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
