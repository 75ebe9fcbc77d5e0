package grpcmw

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/shoal-dev/shoal/bucket"
)

// Adapter is a Limiter of package interceptors/ratelimit of go-grpc-middleware v2, for
// servers that use its interceptors already. Where there is a choice use an
// [Interceptor]: of what Limit returns those send the text alone, without the details,
// and always as RESOURCE_EXHAUSTED. The metadata is what they can't take away: it is
// in the trailer of every call. An Adapter is safe for concurrent use.
type Adapter struct{ interceptor *Interceptor }

// NewAdapter takes what [New] takes. There is no request for the functions to see, it
// is nil; and as nobody tells when a call ends, or what it receives, a rule that limits
// what runs at a time is an error, and so is a limit on messages.
func NewAdapter(l Limiter, rule *bucket.Rule, key KeyFunc, opts ...Option) (*Adapter, error) {
	i, err := New(l, rule, key, opts...)
	if err != nil {
		return nil, err
	}
	var errs []error
	if i.messages != nil {
		errs = append(errs, errors.New("grpcmw: an Adapter sees no messages; use an Interceptor to limit them"))
	}
	errs = append(errs, i.standard.momentary())
	for _, g := range i.methods {
		errs = append(errs, g.momentary())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Adapter{i}, nil
}

// momentary wants a guard that need not know when a call ends.
func (g *guard) momentary() error {
	if g == nil {
		return nil
	}
	if _, concurrent := g.rule.Concurrent(); concurrent {
		return fmt.Errorf("grpcmw: rule %q limits what runs at a time, and an Adapter isn't told when a call ends; use an Interceptor", g.rule.Name())
	}
	return nil
}

// Limit decides the call that ctx is of. Its errors are those with which an
// [Interceptor] ends a call.
func (a *Adapter) Limit(ctx context.Context) error {
	method, _ := grpc.Method(ctx)
	g, _, err := a.interceptor.guard(ctx, method)
	if err != nil || g == nil {
		return err
	}
	if err := g.momentary(); err != nil { // chosen by a function
		return internal(err)
	}
	p, err := a.interceptor.admit(ctx, g, method, nil)
	_ = grpc.SetTrailer(ctx, p.fields) // fails only where there is no call to answer
	return err
}
