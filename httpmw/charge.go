package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/shoal-dev/shoal/bucket"
)

// charge is one of the rules that a middleware charges, and what under it.
type charge struct {
	rule   *bucket.Rule
	ruleBy RuleFunc // in place of rule, or nil
	key    KeyFunc
	cost   int64
	costly bool     // cost was set
	costBy CostFunc // in place of cost, or nil
	fields *fields  // of rule
}

// validate reports what is missing, in New's words for the first charge.
func (c *charge) validate(first bool) error {
	what := "httpmw: And: "
	if first {
		what = "httpmw: "
	}
	var errs []error
	empty := c.rule == nil || c.rule.Name() == "" // as one for a flag that nobody has set
	switch {
	case empty && c.ruleBy == nil:
		errs = append(errs, errors.New(what+"no rule, or an empty one; make one with bucket.NewRule"))
	case c.rule != nil && c.ruleBy != nil:
		errs = append(errs, fmt.Errorf("%srule %q and a RuleBy; give one of them, or both in two charges with And", what, c.rule.Name()))
	}
	if c.key == nil {
		errs = append(errs, errors.New(what+"no key function; say what requests are counted under, as ClientIP does"))
	}
	if c.costly && c.costBy != nil {
		errs = append(errs, errors.New(what+"Cost and CostBy; give one of them"))
	}
	if empty {
		return errors.Join(errs...)
	}
	if capacity := c.rule.Capacity(); capacity > 0 && c.cost > capacity {
		errs = append(errs, fmt.Errorf("%sCost is %d, and rule %q never has more than %d; raise its burst, or lower the cost", what, c.cost, c.rule.Name(), capacity))
	}
	if concurrent(c.rule) && (c.costly || c.costBy != nil) {
		errs = append(errs, fmt.Errorf("%srule %q limits what runs at a time, where a request costs one slot; leave its cost out", what, c.rule.Name()))
	}
	return errors.Join(errs...)
}

func concurrent(rule *bucket.Rule) bool {
	_, ok := rule.Concurrent()
	return ok
}

// part is one charge of a request, and what became of it.
type part struct {
	Decided
	tokens  int64
	fields  *fields
	asked   bool   // there is a decision
	release func() // what Acquire returned, or nil
}

// parts says, in space, what r is to be charged. space is zero, and has room for
// all charges; whoever is exempt from some gets fewer.
func (m *middleware) parts(space []part, r *http.Request) ([]part, error) {
	n := 0
	for i := range m.charges {
		c, p := &m.charges[i], &space[n]
		p.Rule, p.fields = c.rule, c.fields
		if c.ruleBy != nil {
			if p.Rule = c.ruleBy(r); p.Rule == nil {
				continue
			}
			p.fields = m.known.of(p.Rule, &m.answers)
		}
		err := c.of(p, r)
		if err == nil {
			n++
		} else if !errors.Is(err, ErrExempt) {
			return nil, err
		}
	}
	return space[:n], nil
}

// of says under which key r is charged, and how much.
func (c *charge) of(p *part, r *http.Request) (err error) {
	if p.Key, err = keyOf(c.key, r); err != nil {
		return err
	}
	if p.tokens = c.cost; c.costBy == nil {
		return nil
	}
	if p.tokens, err = c.costBy(r); err != nil {
		return costError{err}
	}
	if p.tokens < 0 {
		return costError{fmt.Errorf("httpmw: the cost is %d; it must be at least 0", p.tokens)}
	}
	return nil
}

// costError is an error of a CostFunc.
type costError struct{ error }

func (e costError) Unwrap() error { return e.error }

// take decides the parts. If the limiter panics their rules' failure policies do: one
// that denies makes it an error, and else the request passes.
func (m *middleware) take(ctx context.Context, parts []part) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = byPolicy(parts, p)
		}
	}()
	return m.decide(ctx, parts)
}

func byPolicy(parts []part, panicked any) error {
	for i := range parts {
		if parts[i].Rule.FailurePolicy() == bucket.Deny {
			return fmt.Errorf("httpmw: the limiter panicked: %v", panicked)
		}
	}
	for i := range parts {
		parts[i].asked = false
	}
	return nil
}

// decide decides the parts: slots first, as they can be freed at no cost, then all
// others at once. Whatever it returns, the slots are to be left.
func (m *middleware) decide(ctx context.Context, parts []part) error {
	rates, rate := 0, 0
	for i := range parts {
		p := &parts[i]
		if !concurrent(p.Rule) {
			rates, rate = rates+1, i
			continue
		}
		if m.acquirer == nil {
			return needs(p.Rule, m.limiter)
		}
		release, d, err := m.acquirer.Acquire(ctx, p.Rule, p.Key)
		if err != nil {
			return err
		}
		p.release, p.Decision, p.asked = release, d, true
		if !d.Allowed {
			return nil
		}
	}
	if rates > 1 {
		return m.takeAll(ctx, parts, rates)
	}
	if rates == 1 {
		p := &parts[rate]
		var err error
		p.Decision, err = m.limiter.Take(ctx, p.Rule, p.Key, p.tokens)
		p.asked = err == nil
		return err
	}
	return nil
}

func (m *middleware) takeAll(ctx context.Context, parts []part, rates int) error {
	charges := make([]bucket.Charge, 0, rates)
	for i := range parts {
		if p := &parts[i]; !concurrent(p.Rule) {
			charges = append(charges, bucket.Charge{Rule: p.Rule, Key: p.Key, Tokens: p.tokens})
		}
	}
	decisions, err := m.multi.TakeAll(ctx, charges)
	if err == nil && len(decisions) != rates {
		err = fmt.Errorf("httpmw: TakeAll made %d decisions of %d", len(decisions), rates)
	}
	if err != nil {
		return err
	}
	all := true
	for _, d := range decisions {
		all = all && d.Allowed
	}
	n := 0
	for i := range parts {
		p := &parts[i]
		if concurrent(p.Rule) {
			continue
		}
		p.Decision, p.asked = decisions[n], true
		if n++; !all && p.Decision.Allowed {
			p.Decision = credited(p.Decision, p.tokens)
		}
	}
	return nil
}

// quietly calls f, which gives something back: if the limiter panics that is lost, and
// no affair of the handler, who may be about to write.
func quietly(f func()) {
	defer func() { _ = recover() }()
	f()
}

// leave frees the slots.
func leave(parts []part) {
	for i := range parts {
		if release := parts[i].release; release != nil {
			parts[i].release = nil
			quietly(release)
		}
	}
}
