package grpcmw

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
)

// guard is a rule that is ready to decide.
type guard struct {
	rule   *bucket.Rule
	fields fields
	enter  enter
}

// enter decides a call of key; leave is to be called when its handler has returned.
type enter func(ctx context.Context, key string, tokens int64) (leave func(), d bucket.Decision, err error)

func stay() {}

// steady is e where the limiter may panic: the rule's failure policy decides then.
func (e enter) steady(rule *bucket.Rule) enter {
	return func(ctx context.Context, key string, tokens int64) (leave func(), d bucket.Decision, err error) {
		defer func() {
			p := recover()
			switch {
			case p == nil:
			case rule.FailurePolicy() == bucket.Deny:
				leave, err = stay, fmt.Errorf("grpcmw: the limiter panicked: %v", p)
			default:
				leave, d, err = stay, bucket.Decision{Allowed: true, Degraded: true, Limit: rule.Limits()[0]}, nil
			}
		}()
		return e(ctx, key, tokens)
	}
}

// quiet is leave where that may panic: what it gives back is lost then.
func quiet(leave func()) func() {
	return func() {
		defer func() { _ = recover() }()
		leave()
	}
}

// newGuard chooses what the rule needs of the limiter.
func newGuard(l Limiter, rule *bucket.Rule) (*guard, error) {
	g := &guard{rule: rule, fields: newFields(rule)}
	if _, concurrent := rule.Concurrent(); !concurrent {
		g.enter = func(ctx context.Context, key string, tokens int64) (func(), bucket.Decision, error) {
			d, err := l.Take(ctx, rule, key, tokens)
			return stay, d, err
		}
		g.enter = g.enter.steady(rule)
		return g, nil
	}
	a, ok := l.(Acquirer)
	if !ok {
		return nil, fmt.Errorf("grpcmw: rule %q limits what runs at a time, and the limiter, a %T, has no method Acquire; give New a *cluster.Node, or the rule a limit such as 10/second", rule.Name(), l)
	}
	g.enter = func(ctx context.Context, key string, _ int64) (func(), bucket.Decision, error) {
		leave, d, err := a.Acquire(ctx, rule, key)
		return quiet(leave), d, err
	}
	g.enter = g.enter.steady(rule)
	return g, nil
}

// newMessageGuard is newGuard for messages, which may wait and don't run.
func newMessageGuard(l Limiter, rule *bucket.Rule, wait bool) (*guard, error) {
	if _, concurrent := rule.Concurrent(); concurrent {
		return nil, fmt.Errorf("grpcmw: rule %q limits what runs at a time, which messages don't; give them a limit such as 10/second", rule.Name())
	}
	if !wait {
		return newGuard(l, rule)
	}
	w, ok := l.(Waiter)
	if !ok {
		return nil, fmt.Errorf("grpcmw: messages under rule %q shall wait, and the limiter, a %T, has no method Wait; give New a *cluster.Node, or use WithMessageLimit", rule.Name(), l)
	}
	g := &guard{rule: rule, fields: newFields(rule)}
	g.enter = func(ctx context.Context, key string, tokens int64) (func(), bucket.Decision, error) {
		d, err := w.Wait(ctx, rule, key, tokens)
		if err != nil && !d.Allowed && d.Limit != (bucket.Limit{}) && ctx.Err() == nil {
			err = nil // it would be too long to wait
		}
		d.Delay = 0 // waited out
		return stay, d, err
	}
	g.enter = g.enter.steady(rule)
	return g, nil
}

// guard returns what limits a call: nil if nothing does. exempt says that its
// messages aren't limited either.
func (i *Interceptor) guard(ctx context.Context, method string) (g *guard, exempt bool, err error) {
	g, named := i.methods[method]
	if !named {
		g, named = i.methods[method[:strings.LastIndexByte(method, '/')+1]]
	}
	switch {
	case named:
		return g, g == nil, nil
	case i.choose == nil:
		return i.standard, false, nil
	}
	rule := i.choose(ctx, method)
	if rule == nil {
		return nil, true, nil
	}
	if g, err = newGuard(i.limiter, rule); err != nil {
		return nil, false, internal(err)
	}
	return g, false, nil
}

// pass is what a call that was admitted goes on with.
type pass struct {
	leave  func() // to be called when it has ended
	fields metadata.MD
}

// admit decides a call or message. The error is a status; the pass has fields then,
// too, if there was a decision, but nothing to leave.
func (i *Interceptor) admit(ctx context.Context, g *guard, method string, request any) (pass, error) {
	key, err := i.key(ctx, method, request)
	if err != nil || key == "" {
		return pass{}, i.keyless(err)
	}
	tokens := int64(1)
	if i.cost != nil {
		if tokens = i.cost(ctx, method, request); tokens < 0 {
			return pass{}, internal(fmt.Errorf("grpcmw: the cost of a call is %d; it must be at least 0", tokens))
		}
	}
	leave, d, err := g.enter(ctx, key, tokens)
	if err != nil {
		return pass{}, undecided(err)
	}
	p := pass{leave, g.fields.metadata(ctx, d)}
	if !d.Allowed {
		leave()
		return p, g.fields.refusal(d)
	}
	if err := wait(ctx, d.Delay); err != nil {
		leave()
		return p, status.FromContextError(err).Err()
	}
	return p, nil
}

// keyless answers a call whose key function failed, with err, or gave no key.
func (i *Interceptor) keyless(err error) error {
	if s, ok := status.FromError(err); err != nil && ok && s.Code() != codes.OK {
		return err
	}
	return status.Error(i.noKey, "the call does not say on whose behalf it is made")
}

// internal answers a call that the server's own code has no answer for.
func internal(err error) error { return status.Error(codes.Internal, err.Error()) }

// undecided answers a call for which there is no decision.
func undecided(err error) error {
	if s := status.FromContextError(err); s.Code() != codes.Unknown {
		return s.Err()
	}
	return status.Error(codes.Unavailable, undecidedText)
}

const undecidedText = "the rate limit can't be decided at present"

// wait waits for a call's turn. If the context ends before, it returns why, and at
// once if that can be told.
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
