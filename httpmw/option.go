package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/shoal-dev/shoal/bucket"
)

// Option changes what a middleware does. Without any, every request but OPTIONS
// costs one token. Options are values: a slice of them may be given to many
// middlewares.
type Option interface{ apply(*middleware) error }

// ChargeOption changes one charge of a middleware: as an Option of [New] that of
// its rule and key, and in [And] the one more.
type ChargeOption func(*charge) error

func (o ChargeOption) apply(m *middleware) error { return o(&m.charges[0]) }

type option func(*middleware) error

func (o option) apply(m *middleware) error { return o(m) }

// RuleFunc says by which rule a request is limited: by that of its user's plan,
// say, or of its route. nil limits it by none. It may be called by many goroutines
// at once, and should return rules that are kept: one made for each request works,
// but costs the making of its headers too.
type RuleFunc func(*http.Request) *bucket.Rule

// CostFunc says how many tokens a request costs, at least 0; 0 is free. It may be
// called by many goroutines at once. An error, or a negative cost, gets 400;
// [ErrExempt] exempts the request from this charge.
type CostFunc func(*http.Request) (tokens int64, err error)

// RuleBy has f choose the rule for each request. The rule that New or And is given
// beside it must be nil. Rules may come and go, as those of a file do that is
// reloaded. The limiter should have all that they need: a request whose rule
// limits what runs at a time gets 503 without an [Acquirer].
func RuleBy(f RuleFunc) ChargeOption {
	return func(c *charge) error {
		if f == nil {
			return errors.New("httpmw: RuleBy has no function; leave it out to limit by one rule")
		}
		c.ruleBy = f
		return nil
	}
}

// Cost has each request cost so many tokens, at least 0, instead of 1.
func Cost(tokens int64) ChargeOption {
	return func(c *charge) error {
		if tokens < 0 {
			return fmt.Errorf("httpmw: Cost is %d; it must be at least 0", tokens)
		}
		c.cost, c.costly = tokens, true
		return nil
	}
}

// CostBy has f say what each request costs. Under a rule that limits what runs at a
// time everything costs one slot, whatever f says.
func CostBy(f CostFunc) ChargeOption {
	return func(c *charge) error {
		if f == nil {
			return errors.New("httpmw: CostBy has no function; leave it out for a cost of 1")
		}
		c.costBy = f
		return nil
	}
}

// And charges one more key under one more rule, all or nothing: a request that any
// of them refuses costs nothing under any, but for the penalties of those that
// refused. All of them are in the headers, what refused first. A rule that limits
// what runs at a time may be among them: its slot is taken first, and is free
// again if another refuses. For two or more other rules the limiter must be a
// [MultiTaker].
//
// Middlewares around each other don't do that: the outer one has charged when the
// inner one refuses.
func And(rule *bucket.Rule, key KeyFunc, opts ...ChargeOption) Option {
	return option(func(m *middleware) error {
		c := charge{rule: rule, key: key, cost: 1}
		var errs []error
		for _, o := range opts {
			if o == nil {
				errs = append(errs, errNilOption)
				continue
			}
			errs = append(errs, o(&c))
		}
		m.charges = append(m.charges, c)
		return errors.Join(errs...)
	})
}

// SkipIf exempts requests for which skip is true: they are served, nothing is
// charged, and no header tells of a limit. Given more than once, each counts.
func SkipIf(skip func(*http.Request) bool) Option {
	return option(func(m *middleware) error {
		if skip == nil {
			return errors.New("httpmw: SkipIf has no function; leave it out to skip nothing")
		}
		m.skips = append(m.skips, skip)
		return nil
	})
}

// Matches returns a predicate for [SkipIf] and [RuleBy]: whether the mux would
// serve a request by one of these patterns, written as they were registered. The
// pattern "" stands for all that the mux has no handler for, so 404 and 405.
// With it a limit around a mux can leave out routes that have one of their own.
// Of a pattern that isn't registered it can't know; that matches nothing. Matches
// panics if mux is nil.
func Matches(mux *http.ServeMux, patterns ...string) func(*http.Request) bool {
	if mux == nil {
		panic("httpmw: Matches needs a mux")
	}
	patterns = slices.Clone(patterns)
	return func(r *http.Request) bool {
		_, pattern := mux.Handler(r)
		return slices.Contains(patterns, pattern)
	}
}

// ChargePreflights limits OPTIONS as any other method. Without it they are exempt:
// a browser sends one before a request to another origin (CORS), unasked, and
// can't make anything of a refusal.
func ChargePreflights() Option {
	return option(func(m *middleware) error {
		m.preflights = true
		return nil
	})
}

// ChargeIf charges only requests whose response charge is true for: with
//
//	httpmw.ChargeIf(func(status int, _ http.Header) bool { return status == http.StatusUnauthorized })
//
// failed logins alone. Every request is charged before it reaches the handler, and
// if need be gets it back when the handler writes the header of its response,
// before the client has it. So however many come at once, no more than the limit
// are charged; what others have reserved may mean a refusal for a moment. The
// limiter must be a [Refunder].
//
// The header is the response's, the middleware's own fields left out. A handler that
// panics before it has written a header counts as 500, one that hijacks the
// connection as 101. A refund that gets lost errs to the strict side. Limits on
// what runs at a time are not affected.
func ChargeIf(charge func(status int, header http.Header) bool) Option {
	return option(func(m *middleware) error {
		if charge == nil {
			return errors.New("httpmw: ChargeIf has no function; leave it out to charge everything")
		}
		m.chargeIf = charge
		return nil
	})
}

// Answer sets how clients are told; by default by the zero [Answers].
func Answer(a Answers) Option {
	return option(func(m *middleware) error {
		m.answers = a
		return a.validate()
	})
}

var errNilOption = errors.New("httpmw: an option is nil; leave it out")
