package grpcmw_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

// The interceptors of go-grpc-middleware itself are in test/grpcmw.
func TestAdapter(t *testing.T) {
	f := &fake{d: allowed}
	rule := bucket.MustRule("api", "10/minute")
	a, err := grpcmw.NewAdapter(f, nil, grpcmw.Method, grpcmw.WithRuleFunc(func(_ context.Context, method string) *bucket.Rule {
		switch method {
		case testService + "UnaryCall":
			return rule
		case testService + "FullDuplexCall":
			return bucket.MustRule("two", "2 concurrent") // f is not an Acquirer
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	c := testgrpc.NewTestServiceClient(start(t, func(r *grpc.Server) { testgrpc.RegisterTestServiceServer(r, service{}) }, []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := a.Limit(ctx); err != nil {
				return nil, err
			}
			return handler(ctx, request)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := a.Limit(stream.Context()); err != nil {
				return err
			}
			return handler(server, stream)
		}),
	}))

	got := call(t.Context(), c)
	checkCode(t, got.err, codes.OK)
	checkFields(t, got.trailer, `"10 per 1 minute";r=9;t=6`, `"10 per 1 minute";q=10;w=60`)
	f.check(t, asked{"api", testService + "UnaryCall", 1})
	_, err = kinds["client"](t.Context(), c)
	checkCode(t, err, codes.OK)
	_, err = kinds["bidi"](t.Context(), c)
	checkCode(t, err, codes.Internal)
	f.check(t)

	f.d = bucket.Decision{Limit: rule.Limits()[0], RetryAfter: 1}
	got = call(t.Context(), c)
	if after := checkRefusal(t, got.err, "api", "10 per 1 minute"); after != 1 {
		t.Errorf("RetryInfo says %v", after)
	}
	checkFields(t, got.trailer, `"10 per 1 minute";r=0;t=1`, `"10 per 1 minute";q=10;w=60`, "1", "1")
}

// An Acquirer's slots can't be released.
func TestAdapterHasNoSlots(t *testing.T) {
	two := bucket.MustRule("two", "2 concurrent")
	l := &acquirer{fake: fake{d: bucket.Decision{Allowed: true, Limit: two.Limits()[0]}}}
	a, err := grpcmw.NewAdapter(l, nil, everybody, grpcmw.WithRuleFunc(func(context.Context, string) *bucket.Rule { return two }))
	if err != nil {
		t.Fatal(err)
	}
	checkCode(t, a.Limit(t.Context()), codes.Internal)

	rule := bucket.MustRule("api", "10/minute")
	for word, make := range map[string]func() (*grpcmw.Adapter, error){
		"no limiter": func() (*grpcmw.Adapter, error) { return grpcmw.NewAdapter(nil, rule, everybody) },
		`rule "two"`: func() (*grpcmw.Adapter, error) { return grpcmw.NewAdapter(l, two, everybody) },
		"isn't told": func() (*grpcmw.Adapter, error) {
			return grpcmw.NewAdapter(l, rule, everybody, grpcmw.WithRules(map[string]*bucket.Rule{"/x/": two, "/y/": nil}))
		},
		"no messages": func() (*grpcmw.Adapter, error) {
			return grpcmw.NewAdapter(l, rule, everybody, grpcmw.WithMessageLimit(rule))
		},
	} {
		if a, err := make(); a != nil || err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v, %v", word, a, err)
		}
	}
}
