package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/shoal-dev/shoal/bucket"
)

// CostFunc says how many tokens a call takes, or a message where messages are
// counted: at least 0. Its arguments are those of a [KeyFunc]. It may be called by many
// goroutines at once.
type CostFunc func(ctx context.Context, method string, request any) int64

// Option changes one setting of an Interceptor that is being made.
type Option func(*settings) error

type settings struct {
	methods  map[string]*bucket.Rule
	choose   func(ctx context.Context, method string) *bucket.Rule
	cost     CostFunc
	noKey    codes.Code
	messages *bucket.Rule
	wait     bool // for messages that are over the limit
}

// validate wants one answer to the question which rule a call has.
func (s *settings) validate(rule *bucket.Rule) error {
	limits := rule != nil || s.choose != nil || s.messages != nil
	for _, r := range s.methods {
		limits = limits || r != nil
	}
	switch {
	case rule != nil && s.choose != nil:
		return errors.New("grpcmw: the rule and WithRuleFunc both say what limits a call; give New a nil rule, and return yours from the function")
	case !limits:
		return errors.New("grpcmw: no rule; make one with bucket.NewRule")
	}
	return nil
}

// WithRules gives calls rules of their own, in place of the one that was given to
// New: "/package.Service/Method" names a method, "/package.Service/" all methods of
// a service that aren't named themselves. nil exempts. It may be given more than
// once.
func WithRules(rules map[string]*bucket.Rule) Option {
	rules = maps.Clone(rules)
	return func(s *settings) error {
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(rules)) {
			errs = append(errs, s.add(name, rules[name]))
		}
		return errors.Join(errs...)
	}
}

// WithExempt lets calls pass without counting them or the messages in them. The
// names are those of [WithRules].
func WithExempt(names ...string) Option {
	names = slices.Clone(names)
	return func(s *settings) error {
		var errs []error
		for _, name := range names {
			errs = append(errs, s.add(name, nil))
		}
		return errors.Join(errs...)
	}
}

// WithHealthAndReflectionExempt is [WithExempt] for what probes and tools call: gRPC's
// health checking and both versions of its reflection.
func WithHealthAndReflectionExempt() Option {
	return WithExempt("/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
}

func (s *settings) add(name string, rule *bucket.Rule) error {
	if service, _, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/"); !ok || service == "" || name[0] != '/' || strings.Count(name, "/") != 2 {
		return fmt.Errorf("grpcmw: %q names no call; write /package.Service/Method, or /package.Service/ for all of a service", name)
	}
	if _, twice := s.methods[name]; twice {
		return fmt.Errorf("grpcmw: %q is given two rules, or is exempt as well; decide for one", name)
	}
	s.methods[name] = rule
	return nil
}

// WithRuleFunc has a function choose the rule of each call that [WithRules] doesn't
// name, say by the caller's plan; nil exempts. The rule given to New must be nil then.
// Rules are told apart by their names, so make one for each plan and keep them. A rule
// that the limiter can't decide, for want of an [Acquirer], shows only when it is
// chosen: the call gets INTERNAL. The function may be called by many goroutines at
// once.
func WithRuleFunc(choose func(ctx context.Context, method string) *bucket.Rule) Option {
	return func(s *settings) error {
		if choose == nil {
			return errors.New("grpcmw: WithRuleFunc was given nil; give it a function")
		}
		s.choose = choose
		return nil
	}
}

// WithCost has a function say what a call costs; without it that is 1 token. A slot
// under a concurrency limit is one slot, whatever the call costs. A negative cost is
// answered with INTERNAL.
func WithCost(cost CostFunc) Option {
	return func(s *settings) error {
		if cost == nil {
			return errors.New("grpcmw: WithCost was given nil; give it a function")
		}
		s.cost = cost
		return nil
	}
}

// WithNoKeyCode sets what a call without a key is answered with: InvalidArgument,
// which is the default, Unauthenticated or PermissionDenied.
func WithNoKeyCode(code codes.Code) Option {
	return func(s *settings) error {
		switch code {
		case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied:
			s.noKey = code
			return nil
		}
		return fmt.Errorf("grpcmw: a call without a key can't be answered with %v; choose InvalidArgument, Unauthenticated or PermissionDenied", code)
	}
}

// WithMessageLimit charges each message that a stream receives to the rule, by the
// key and cost of that message. The one request of a server's stream is such a
// message, and unary calls have none. The first that is refused ends the stream:
// RecvMsg returns the status, and the client gets it whatever the handler returns
// then. The rule may be that of the calls too; a stream begins with a token of it then.
func WithMessageLimit(rule *bucket.Rule) Option { return withMessages(rule, false) }

// WithMessageWait is [WithMessageLimit], but messages that are over the limit wait
// until they can pass, in the order of a [Waiter], which the limiter must be. The
// client is slowed down by flow control meanwhile. Only what can't pass before the
// stream's deadline is refused.
func WithMessageWait(rule *bucket.Rule) Option { return withMessages(rule, true) }

func withMessages(rule *bucket.Rule, wait bool) Option {
	return func(s *settings) error {
		switch {
		case rule == nil:
			return errors.New("grpcmw: no rule for messages; make one with bucket.NewRule")
		case s.messages != nil:
			return errors.New("grpcmw: messages are given two rules; decide for one of WithMessageLimit and WithMessageWait")
		}
		s.messages, s.wait = rule, wait
		return nil
	}
}
