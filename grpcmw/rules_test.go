package grpcmw_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectiongrpc "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

const testService = "/grpc.testing.TestService/"

func TestRulesOfMethods(t *testing.T) {
	f := &fake{d: allowed}
	rule := func(name string) *bucket.Rule { return bucket.MustRule(name, "10/minute") }
	for name, x := range map[string]struct {
		standard *bucket.Rule
		rules    map[string]*bucket.Rule
		unary    string // the rule that is asked about
		empty    string
	}{
		"none named":          {rule("all"), nil, "all", "all"},
		"a method":            {rule("all"), map[string]*bucket.Rule{testService + "UnaryCall": rule("unary")}, "unary", "all"},
		"a service":           {rule("all"), map[string]*bucket.Rule{testService: rule("service")}, "service", "service"},
		"both":                {rule("all"), map[string]*bucket.Rule{testService: rule("service"), testService + "UnaryCall": rule("unary")}, "unary", "service"},
		"another":             {rule("all"), map[string]*bucket.Rule{"/grpc.testing.Test/": rule("service"), "/x/UnaryCall": rule("unary")}, "all", "all"},
		"an exempt method":    {rule("all"), map[string]*bucket.Rule{testService + "UnaryCall": nil}, "", "all"},
		"an exempt service":   {rule("all"), map[string]*bucket.Rule{testService: nil}, "", ""},
		"all but one":         {rule("all"), map[string]*bucket.Rule{testService: nil, testService + "UnaryCall": rule("unary")}, "unary", ""},
		"only what is named":  {nil, map[string]*bucket.Rule{testService + "UnaryCall": rule("unary")}, "unary", ""},
		"a service, less one": {nil, map[string]*bucket.Rule{testService: rule("service"), testService + "UnaryCall": nil}, "", "service"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, newLimit(t, f, x.standard, everybody, grpcmw.WithRules(x.rules)), service{})
			checkCode(t, call(t.Context(), c).err, codes.OK)
			f.check(t, about(x.unary)...)
			_, err := c.EmptyCall(t.Context(), &testgrpc.Empty{})
			checkCode(t, err, codes.OK)
			f.check(t, about(x.empty)...)
		})
	}
}

func about(rule string) []asked {
	if rule == "" {
		return nil
	}
	return []asked{{rule, "everybody", 1}}
}

// What is exempt has exempt messages, too.
func TestExemptStreams(t *testing.T) {
	f := &fake{d: allowed}
	messages := grpcmw.WithMessageLimit(bucket.MustRule("messages", "10/minute"))
	for name, opts := range map[string][]grpcmw.Option{
		"by name":       {messages, grpcmw.WithExempt(testService)},
		"by a function": {messages, grpcmw.WithRuleFunc(func(context.Context, string) *bucket.Rule { return nil })},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, newLimit(t, f, nil, everybody, opts...), service{})
			_, err := kinds["bidi"](t.Context(), c)
			checkCode(t, err, codes.OK)
			checkCode(t, call(t.Context(), c).err, codes.OK)
			f.check(t)
		})
	}
}

// Without any rule for streams they pass untouched.
func TestStreamsWithoutARule(t *testing.T) {
	f := &fake{d: allowed}
	rules := map[string]*bucket.Rule{testService + "UnaryCall": bucket.MustRule("unary", "10/minute")}
	_, err := kinds["bidi"](t.Context(), serve(t, newLimit(t, f, nil, everybody, grpcmw.WithRules(rules)), service{}))
	checkCode(t, err, codes.OK)
	f.check(t)
}

func TestRuleFunc(t *testing.T) {
	f := &fake{d: allowed}
	rules := map[string]*bucket.Rule{
		testService + "UnaryCall":          bucket.MustRule("unary", "10/minute"),
		testService + "StreamingInputCall": bucket.MustRule("two", "2 concurrent"),
		testService + "FullDuplexCall":     nil,
	}
	limit := newLimit(t, f, nil, everybody,
		grpcmw.WithRuleFunc(func(_ context.Context, method string) *bucket.Rule { return rules[method] }),
		grpcmw.WithExempt(testService+"StreamingOutputCall"))
	c := serve(t, limit, service{})
	checkCode(t, call(t.Context(), c).err, codes.OK)
	f.check(t, about("unary")...)
	_, err := kinds["bidi"](t.Context(), c)
	checkCode(t, err, codes.OK)
	_, err = kinds["server"](t.Context(), c)
	checkCode(t, err, codes.OK)

	// It is not an Acquirer.
	_, err = kinds["client"](t.Context(), c)
	checkCode(t, err, codes.Internal)
	rules[testService+"UnaryCall"] = bucket.MustRule("two", "2 concurrent")
	checkCode(t, call(t.Context(), c).err, codes.Internal)
	f.check(t)
}

func TestCost(t *testing.T) {
	f := &fake{d: allowed}
	cost := int64(5)
	c := serve(t, newLimit(t, f, bucket.MustRule("api", "10/minute"), everybody, grpcmw.WithCost(func(_ context.Context, method string, request any) int64 {
		if _, ok := request.(*testgrpc.SimpleRequest); !ok || method != testService+"UnaryCall" {
			t.Errorf("asked for the cost of %s, a %T", method, request)
		}
		return cost
	})), service{})
	checkCode(t, call(t.Context(), c).err, codes.OK)
	f.check(t, asked{"api", "everybody", 5})
	cost = -1
	checkCode(t, call(t.Context(), c).err, codes.Internal)
	f.check(t)
}

func TestHealthAndReflectionExempt(t *testing.T) {
	for _, exempt := range []bool{true, false} {
		f := &fake{d: bucket.Decision{}}
		var opts []grpcmw.Option
		want := codes.ResourceExhausted
		if exempt {
			opts, want = append(opts, grpcmw.WithHealthAndReflectionExempt()), codes.OK
		}
		limit := newLimit(t, f, bucket.MustRule("api", "0/minute"), everybody, opts...)
		c := start(t, func(s *grpc.Server) {
			healthgrpc.RegisterHealthServer(s, health.NewServer())
			reflection.Register(s)
			testgrpc.RegisterTestServiceServer(s, service{})
		}, []grpc.ServerOption{grpc.UnaryInterceptor(limit.Unary()), grpc.StreamInterceptor(limit.Stream())})
		_, err := healthgrpc.NewHealthClient(c).Check(t.Context(), &healthgrpc.HealthCheckRequest{})
		checkCode(t, err, want)
		v1, err := reflectiongrpc.NewServerReflectionClient(c).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		checkCode(t, talk(v1, 0, nil, &reflectiongrpc.ServerReflectionResponse{}), want)
		alpha, err := grpc_reflection_v1alpha.NewServerReflectionClient(c).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		checkCode(t, talk(alpha, 0, nil, &reflectiongrpc.ServerReflectionResponse{}), want)
		checkCode(t, call(t.Context(), testgrpc.NewTestServiceClient(c)).err, codes.ResourceExhausted)
	}
}

// Everything that is wrong is said, and how to right it.
func TestFaultsOfConstruction(t *testing.T) {
	rule, two := bucket.MustRule("api", "10/minute"), bucket.MustRule("two", "2 concurrent")
	f, plan := &fake{}, func(context.Context, string) *bucket.Rule { return rule }
	for name, x := range map[string]struct {
		l     grpcmw.Limiter
		rule  *bucket.Rule
		key   grpcmw.KeyFunc
		opts  []grpcmw.Option
		words []string
	}{
		"nothing":                {nil, nil, nil, []grpcmw.Option{nil}, []string{"no limiter", "no key function", "no rule", "an option is nil"}},
		"all exempt":             {f, nil, everybody, []grpcmw.Option{grpcmw.WithExempt("/x/")}, []string{"no rule"}},
		"rule and function":      {f, rule, everybody, []grpcmw.Option{grpcmw.WithRuleFunc(plan)}, []string{"WithRuleFunc", "nil rule"}},
		"nil functions":          {f, rule, everybody, []grpcmw.Option{grpcmw.WithRuleFunc(nil), grpcmw.WithCost(nil)}, []string{"WithRuleFunc was given nil", "WithCost was given nil"}},
		"slots":                  {f, two, everybody, nil, []string{`rule "two"`, "no method Acquire", "*cluster.Node"}},
		"slots of a method":      {f, rule, everybody, []grpcmw.Option{grpcmw.WithRules(map[string]*bucket.Rule{"/x/": two})}, []string{`rule "two"`, "no method Acquire"}},
		"slots for messages":     {f, rule, everybody, []grpcmw.Option{grpcmw.WithMessageLimit(two)}, []string{`rule "two"`, "messages don't"}},
		"waiting for none":       {f, rule, everybody, []grpcmw.Option{grpcmw.WithMessageWait(rule)}, []string{`rule "api"`, "no method Wait"}},
		"no rule for messages":   {f, rule, everybody, []grpcmw.Option{grpcmw.WithMessageLimit(nil)}, []string{"no rule for messages"}},
		"two rules for messages": {f, rule, everybody, []grpcmw.Option{grpcmw.WithMessageLimit(rule), grpcmw.WithMessageWait(rule)}, []string{"two rules"}},
		"a code":                 {f, rule, everybody, []grpcmw.Option{grpcmw.WithNoKeyCode(codes.OK)}, []string{"OK", "Unauthenticated"}},
		"a name twice":           {f, rule, everybody, []grpcmw.Option{grpcmw.WithExempt("/x/", "/x/")}, []string{`"/x/"`, "two rules"}},
		"names": {f, rule, everybody, []grpcmw.Option{grpcmw.WithExempt("", "/", "//", "//y", "/x", "x", "x/", "x/y", "/x/y/", "/x//")},
			[]string{`"" names`, `"/" names`, `"//" names`, `"//y" names`, `"/x" names`, `"x" names`, `"x/" names`, `"x/y" names`, `"/x/y/" names`, `"/x//" names`, "/package.Service/Method"}},
	} {
		t.Run(name, func(t *testing.T) {
			limit, err := grpcmw.New(x.l, x.rule, x.key, x.opts...)
			if limit != nil || err == nil {
				t.Fatalf("got %v, %v", limit, err)
			}
			for _, word := range x.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("no %q in %q", word, err)
				}
			}
		})
	}
}
