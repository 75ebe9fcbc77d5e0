// Package envoyrls answers Envoy's rate limit service protocol, v3, out of a Shoal
// cluster: what github.com/envoyproxy/ratelimit does with a Redis, in any program
// that has a [cluster.Node]. Envoy, Istio, Gloo and everything else that speaks
// envoy.service.ratelimit.v3.RateLimitService needs no other change than the address.
//
//	config, err := envoyrls.LoadConfig("/etc/ratelimit/config/*.yaml")
//	service, err := envoyrls.New(node, config, envoyrls.Options{})
//	server := grpc.NewServer()
//	envoyrls.Register(server, service)
//
// A request names a domain and some descriptors, each a list of keys and values, as
// ("message_type", "marketing"), ("to_number", "2061111111"). A [Source] chooses the
// rule and the key of each. There are two:
//
//   - [ParseConfig] and [LoadConfig] read the configuration of envoyproxy/ratelimit as
//     it is, and match as it does.
//   - [Rules] takes rules from a rules file (package rules), by their names:
//     "messaging/message_type=marketing/to_number" is the rule of domain messaging for
//     the descriptor above. All that a rule can say is there then: token buckets,
//     several limits at once, calendars, penalties, failure policies.
//
// In both a descriptor matches what has as many levels as it has entries, and at each
// level key and value are tried before the key alone. The limiter's key is made of the
// values that the rule doesn't fix: a rule for a key alone counts each value by
// itself. A domain or a descriptor that nothing matches isn't limited. See Rules for
// the names, and Config for wildcards and the rest of the format.
//
// Each descriptor is decided; the answer is OVER_LIMIT if any is over its limit, and
// then nothing stays charged, however many others had room (Options.ChargeRefused
// counts as envoyproxy/ratelimit does). hits_addend is the cost, 1 where there is
// none; a descriptor's own may be 0, which asks whether anything is left and charges
// nothing. A descriptor's own limit (an override) goes before any rule, in a domain
// that the source knows.
//
// Envoy waits 20 ms for an answer unless told otherwise, and its deadline comes with
// the request: where the replica that holds a key is silent, the rule's failure policy
// answers in time, so Envoy's failure_mode_deny is only for when this whole service
// can't be reached. An error is returned only for a request that is malformed
// (InvalidArgument), a feature that isn't there (Unimplemented), a node that is closed
// (Unavailable), a context that is done, and a rule that a rate can't be asked of
// (FailedPrecondition). Every replica can answer every request: a load balancer in
// front needs no affinity.
//
// The package is a module of its own, as Envoy's API is a large dependency.
package envoyrls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter is what a service needs of a cluster.Node, with its contract.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
	Peek(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
	Refund(ctx context.Context, rule *bucket.Rule, key string, receipt bucket.Receipt) error
}

// Source chooses what limits a descriptor. It must be safe for concurrent use and
// wait for nothing; it must not keep the entries.
type Source interface {
	// Find returns what the entries match, or the zero Match, and whether there is
	// anything at all about the domain.
	Find(domain string, entries []*common.RateLimitDescriptor_Entry) (m Match, known bool)
}

// Match is what limits one descriptor.
type Match struct {
	Rule      *bucket.Rule // nil: nothing limits it
	Key       string
	Unlimited bool     // not limited, and on purpose; Rule is nil
	Name      string   // of the limit, for Replaces and in answers; "" means that of the bucket.Limit
	Replaces  []string // names of matches that don't count in the same request
	// Quota makes a request pass that other descriptors don't refuse, until those of
	// its descriptors that are quotas are all over their limits.
	Quota bool
	// Metadata is for the answer's dynamic metadata, where Options.Metadata asks for
	// it, unless the descriptor is over its limit. It is never changed.
	Metadata *structpb.Struct
}

// Options say how a service answers. The zero value is good.
type Options struct {
	// ChargeRefused charges every descriptor whatever becomes of the others, and takes
	// what is left where a hit costs more than that, as envoyproxy/ratelimit does
	// unless it is told to stop when over the limit. It is for costs that are known
	// only afterwards, as those of Envoy's apply_on_stream_done: they must count
	// although nothing can be refused any more. false means all or nothing.
	ChargeRefused bool
	// Headers sets header fields for the response to the client, by the descriptor
	// that refuses or is nearest to that: httpmw.SetHeaders (RateLimit and
	// RateLimit-Policy as in draft 11, Retry-After), [RateLimitHeaders] or your own.
	// nil sets none; Envoy's enable_x_ratelimit_headers works all the same.
	Headers func(h http.Header, rule *bucket.Rule, d bucket.Decision)
	// Metadata adds dynamic metadata to each answer: the domain, the descriptors and
	// hitsAddend of the request, and below "metadata" that of the matches.
	Metadata bool
	// Override is for the rules of descriptors that bring their own limit:
	// bucket.WithFailurePolicy, bucket.WithMode.
	Override []bucket.RuleOption
}

// Service answers ShouldRateLimit. It is safe for concurrent use.
type Service struct {
	rls.UnimplementedRateLimitServiceServer
	limiter Limiter
	options Options
	source  atomic.Pointer[Source]
}

// New makes a service. The error names what is missing or wrong.
func New(limiter Limiter, source Source, options Options) (*Service, error) {
	var errs []error
	if limiter == nil {
		errs = append(errs, errors.New("the limiter is nil; give a *cluster.Node"))
	}
	if source == nil {
		errs = append(errs, errors.New("the source is nil; give Rules or what ParseConfig returns"))
	}
	if _, err := bucket.NewRule("override", []bucket.Limit{window(1, units[0].per)}, options.Override...); err != nil {
		errs = append(errs, fmt.Errorf("field Override: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("envoyrls: %w", err)
	}
	s := &Service{limiter: limiter, options: options}
	s.Use(source)
	return s, nil
}

// Register has a gRPC server answer for the service, as the protocol's
// envoy.service.ratelimit.v3.RateLimitService. Call it before the server serves.
func Register(server grpc.ServiceRegistrar, s *Service) {
	rls.RegisterRateLimitServiceServer(server, s)
}

// Use puts another source in place of the one there is, which must not be nil, for
// requests from now on: a configuration that was loaded again. Rules of the same name
// keep what was consumed.
func (s *Service) Use(source Source) { s.source.Store(&source) }

// ShouldRateLimit is the protocol's method.
func (s *Service) ShouldRateLimit(ctx context.Context, request *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	hits, err := s.read(request)
	if err != nil {
		return nil, err
	}
	over, err := s.charge(ctx, hits)
	if err != nil {
		return nil, failure(err)
	}
	return s.answer(request, hits, over), nil
}
