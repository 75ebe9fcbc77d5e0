package grpcmw_test

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

func ExampleNew() {
	rule := bucket.MustRule("api", "2/minute")
	limit, err := grpcmw.New(newLocal(), rule, grpcmw.PeerIP()) // or your *cluster.Node
	if err != nil {
		fmt.Println(err)
		return
	}
	client, stop := dial(
		grpc.ChainUnaryInterceptor(limit.Unary()),
		grpc.ChainStreamInterceptor(limit.Stream()))
	defer stop()

	for range 3 {
		var header metadata.MD
		_, err := client.UnaryCall(context.Background(), &testgrpc.SimpleRequest{}, grpc.Header(&header))
		fmt.Println(status.Code(err), header["ratelimit"])
		for _, d := range status.Convert(err).Details() {
			switch d := d.(type) {
			case *errdetails.RetryInfo:
				fmt.Println("retry after", d.RetryDelay.AsDuration())
			case *errdetails.QuotaFailure:
				fmt.Println("violated", d.Violations[0].Subject, "of", d.Violations[0].Description)
			}
		}
	}

	// Output:
	// OK ["2 per 1 minute";r=1;t=30]
	// OK ["2 per 1 minute";r=0;t=30]
	// ResourceExhausted []
	// retry after 30s
	// violated api of 2 per 1 minute
}

// A key function of one's own: the tenant that the request names.
func ExampleKeyFunc() {
	key := func(_ context.Context, _ string, request any) (string, error) {
		if r, ok := request.(interface{ GetTenant() string }); ok {
			return r.GetTenant(), nil
		}
		return "", nil // the call is answered with INVALID_ARGUMENT
	}
	_, err := grpcmw.New(newLocal(), bucket.MustRule("api", "10/second"), key)
	fmt.Println(err)

	// Output: <nil>
}

func ExampleInterceptor_Stream() {
	// A client may have two streams at a time; a *cluster.Node counts them.
	_, err := grpcmw.New(newLocal(), bucket.MustRule("streams", "2 concurrent"), grpcmw.PeerIP())
	fmt.Println(err)

	// Output:
	// grpcmw: rule "streams" limits what runs at a time, and the limiter, a *grpcmw_test.local, has no method Acquire; give New a *cluster.Node, or the rule a limit such as 10/second
}

// A handler may decide by itself, when it knows what a call is about.
func ExampleError() {
	rule := bucket.MustRule("exports", "1/hour")
	limiter := newLocal()
	handler := func(ctx context.Context, tenant string) error {
		d, err := limiter.Take(ctx, rule, tenant, 1)
		if err != nil {
			return err
		}
		_ = grpc.SetTrailer(ctx, grpcmw.Fields(ctx, rule, d))
		return grpcmw.Error(rule, d)
	}
	for range 2 {
		fmt.Println(handler(context.Background(), "acme"))
	}

	// Output:
	// <nil>
	// rpc error: code = ResourceExhausted desc = rate limit exceeded: 1 per 1 hour
}

func ExampleFields() {
	rule := bucket.MustRule("api", "1/minute; 100/hour")
	limiter, ctx := newLocal(), context.Background()
	for range 2 {
		d, err := limiter.Take(ctx, rule, "ann", 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		md := grpcmw.Fields(ctx, rule, d)
		for _, name := range []string{"ratelimit-policy", "ratelimit", "retry-after", "grpc-retry-pushback-ms"} {
			fmt.Println(name, md[name])
		}
	}

	// Output:
	// ratelimit-policy ["1 per 1 minute";q=1;w=60, "100 per 1 hour";q=100;w=3600]
	// ratelimit ["1 per 1 minute";r=0;t=60]
	// retry-after []
	// grpc-retry-pushback-ms []
	// ratelimit-policy ["1 per 1 minute";q=1;w=60, "100 per 1 hour";q=100;w=3600]
	// ratelimit ["1 per 1 minute";r=0;t=60]
	// retry-after [60]
	// grpc-retry-pushback-ms [60000]
}

// With go-grpc-middleware: ratelimit.UnaryServerInterceptor(adapter).
func ExampleNewAdapter() {
	adapter, err := grpcmw.NewAdapter(newLocal(), bucket.MustRule("api", "1/minute"), grpcmw.Metadata("x-user"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var limiter interface{ Limit(context.Context) error } = adapter
	call := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-user", "ann"))
	for range 2 {
		fmt.Println(limiter.Limit(call))
	}

	// Output:
	// <nil>
	// rpc error: code = ResourceExhausted desc = rate limit exceeded: 1 per 1 minute
}

// dial returns a client of a server with these options.
func dial(opts ...grpc.ServerOption) (testgrpc.TestServiceClient, func()) {
	c, stop, err := listen(func(s *grpc.Server) { testgrpc.RegisterTestServiceServer(s, service{}) }, opts)
	if err != nil {
		panic(err)
	}
	return testgrpc.NewTestServiceClient(c), func() {
		if err := stop(); err != nil {
			panic(err)
		}
	}
}
