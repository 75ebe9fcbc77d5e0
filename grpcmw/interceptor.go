// Package grpcmw limits the calls to a gRPC server.
//
//	limit, err := grpcmw.New(node, rule, grpcmw.PeerIP())
//	...
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(limit.Unary()),
//		grpc.ChainStreamInterceptor(limit.Stream()))
//
// New asks for three things on purpose, as httpmw does: who decides (a cluster.Node,
// or anything with its one method), by which rule, and what a call is counted under.
// A [KeyFunc] sees the call's metadata and peer, its method and the request: see
// [PeerIP], [Metadata], [Method] and [Join]. Options give methods rules of their own,
// exempt some, charge more for some calls, and limit the messages within streams.
//
// A call over the limit gets RESOURCE_EXHAUSTED. Its details are a QuotaFailure, which
// names the rule and the limit, never the key; and, if waiting is known to help, a
// RetryInfo with the time after which the same call can pass, exact to the nanosecond.
// Its trailer has grpc-retry-pushback-ms too (gRFC A6): a client whose service config
// retries RESOURCE_EXHAUSTED waits that long by itself, and doesn't retry what can't
// pass before its deadline.
//
// The metadata of every limited call tells where the client stands, as
// draft-ietf-httpapi-ratelimit-headers-11 has it and with the values of httpmw:
//
//	ratelimit-policy: "10 per 1 minute";q=10;w=60
//	ratelimit: "10 per 1 minute";r=9;t=6
//
// A unary call that succeeds has it in its header, and a stream in that of its first
// response; else it is in the trailer, with retry-after if the call was refused. For
// once a client has a header it takes the call as answered for good and retries
// nothing, neither this nor a handler's UNAVAILABLE. So let nothing that runs before
// these interceptors set a header.
//
// Under a limit on what runs at a time, such as "2 concurrent", a call has its slot
// until the handler returns, panics included. Under a leaky bucket it waits for its
// turn; if the context ends before that, it gets DEADLINE_EXCEEDED or CANCELLED. In
// bucket.Shadow nothing is refused, and the metadata is what it would be; in
// bucket.Off nothing is limited, and nothing said.
//
// A call without a key gets INVALID_ARGUMENT, or what [WithNoKeyCode] says: it is
// neither let through nor lumped together with others. If no decision can be made,
// which with a cluster.Node is so only after its Close, or under the failure policy
// Deny when the owner of the key is silent, the answer is UNAVAILABLE.
package grpcmw

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter decides. *cluster.Node is one.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
}

// Acquirer is what a Limiter must be too for rules that limit what runs at a time.
// *cluster.Node is one.
type Acquirer interface {
	// Acquire decides whether one more call of key may run, and counts it until
	// release is called. Without an error release isn't nil.
	Acquire(ctx context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error)
}

// Waiter is what a Limiter must be too for [WithMessageWait]. *cluster.Node is one.
type Waiter interface {
	// Wait takes tokens from key as soon as they are there, and waits out the Delay
	// of what it took. With an error the decision is the last refusal, if it was one.
	Wait(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
}

// KeyFunc says what a call is counted under: an address, a user, a tenant. The
// method is the full one, "/package.Service/Method". The request is that of a unary
// call, nil when a stream begins, and the message where messages are counted.
//
// An empty key is an error, too. Where the error is one of package status, the client
// gets that; any other it doesn't see. A KeyFunc may be called by many goroutines at
// once.
type KeyFunc func(ctx context.Context, method string, request any) (key string, err error)

// Interceptor limits the calls of the servers that it is given to. It is safe for
// concurrent use.
type Interceptor struct {
	limiter  Limiter
	key      KeyFunc
	cost     CostFunc
	noKey    codes.Code
	standard *guard                                                // of the rule that was given to New; nil without
	methods  map[string]*guard                                     // by method or service; nil exempts
	choose   func(ctx context.Context, method string) *bucket.Rule // in place of standard; nil without
	messages *guard                                                // of what streams receive; nil without
}

// New returns interceptors that take one token from the call's key for each call, or
// a slot while its handler runs, under a concurrency limit; the limiter must be an
// [Acquirer] for that. A stream is one call, however long it is; see
// [WithMessageLimit] for what it receives. Servers and methods with the same rule
// share its limits, as do all replicas.
//
// The rule may be nil if an option brings others; what these don't name isn't limited
// then. The error names everything that is missing or wrong.
func New(l Limiter, rule *bucket.Rule, key KeyFunc, opts ...Option) (*Interceptor, error) {
	s := settings{noKey: codes.InvalidArgument, methods: map[string]*bucket.Rule{}}
	var errs []error
	if l == nil {
		errs = append(errs, errors.New("grpcmw: no limiter; give New a *cluster.Node"))
	}
	if key == nil {
		errs = append(errs, errors.New("grpcmw: no key function; say what calls are counted under, as PeerIP does"))
	}
	for _, opt := range opts {
		if opt == nil {
			errs = append(errs, errors.New("grpcmw: an option is nil"))
			continue
		}
		errs = append(errs, opt(&s))
	}
	errs = append(errs, s.validate(rule))
	i := &Interceptor{limiter: l, key: key, cost: s.cost, noKey: s.noKey, choose: s.choose, methods: map[string]*guard{}}
	if l != nil {
		errs = append(errs, i.arm(rule, &s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return i, nil
}

// arm makes the rules ready to decide.
func (i *Interceptor) arm(rule *bucket.Rule, s *settings) error {
	var errs []error
	ready := func(r *bucket.Rule) *guard {
		if r == nil {
			return nil
		}
		g, err := newGuard(i.limiter, r)
		errs = append(errs, err)
		return g
	}
	i.standard = ready(rule)
	for name, r := range s.methods {
		i.methods[name] = ready(r)
	}
	if s.messages != nil {
		var err error
		i.messages, err = newMessageGuard(i.limiter, s.messages, s.wait)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Unary returns the interceptor of unary calls.
func (i *Interceptor) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		g, _, err := i.guard(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		if g == nil {
			return handler(ctx, request)
		}
		pass, err := i.admit(ctx, g, info.FullMethod, request)
		if err != nil {
			_ = grpc.SetTrailer(ctx, pass.fields) // fails only where there is no call to answer
			return nil, err
		}
		defer pass.leave()
		response, err := handler(ctx, request)
		if err != nil || grpc.SetHeader(ctx, pass.fields) != nil { // or the handler has sent the header
			_ = grpc.SetTrailer(ctx, pass.fields)
		}
		return response, err
	}
}
