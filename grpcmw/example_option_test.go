package grpcmw_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

// limited returns a client of a server that is limited so.
func limited(rule *bucket.Rule, key grpcmw.KeyFunc, opts ...grpcmw.Option) (testgrpc.TestServiceClient, func()) {
	limit, err := grpcmw.New(newLocal(), rule, key, opts...)
	if err != nil {
		panic(err)
	}
	return dial(grpc.ChainUnaryInterceptor(limit.Unary()), grpc.ChainStreamInterceptor(limit.Stream()))
}

// twice calls both unary methods twice and prints what they answer.
func twice(ctx context.Context, client testgrpc.TestServiceClient) {
	for range 2 {
		_, unary := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		_, empty := client.EmptyCall(ctx, &testgrpc.Empty{})
		fmt.Println("UnaryCall", status.Code(unary), "EmptyCall", status.Code(empty))
	}
}

func ExampleWithRules() {
	client, stop := limited(bucket.MustRule("all", "100/minute"), grpcmw.PeerIP(), grpcmw.WithRules(map[string]*bucket.Rule{
		"/grpc.testing.TestService/":          bucket.MustRule("service", "10/minute"),
		"/grpc.testing.TestService/EmptyCall": bucket.MustRule("empty", "1/minute"),
	}))
	defer stop()
	twice(context.Background(), client)

	// Output:
	// UnaryCall OK EmptyCall OK
	// UnaryCall OK EmptyCall ResourceExhausted
}

func ExampleWithExempt() {
	client, stop := limited(bucket.MustRule("all", "1/minute"), grpcmw.PeerIP(), grpcmw.WithExempt("/grpc.testing.TestService/EmptyCall"))
	defer stop()
	twice(context.Background(), client)

	// Output:
	// UnaryCall OK EmptyCall OK
	// UnaryCall ResourceExhausted EmptyCall OK
}

func ExampleWithHealthAndReflectionExempt() {
	client, stop := limited(bucket.MustRule("all", "2/minute"), grpcmw.PeerIP(), grpcmw.WithHealthAndReflectionExempt())
	defer stop()
	twice(context.Background(), client) // the others aren't

	// Output:
	// UnaryCall OK EmptyCall OK
	// UnaryCall ResourceExhausted EmptyCall ResourceExhausted
}

func ExampleWithRuleFunc() {
	plans := map[string]*bucket.Rule{
		"free": bucket.MustRule("free", "2/minute"),
		"paid": bucket.MustRule("paid", "100/minute"),
	}
	client, stop := limited(nil, grpcmw.Metadata("x-user"), grpcmw.WithRuleFunc(func(ctx context.Context, _ string) *bucket.Rule {
		if plan := metadata.ValueFromIncomingContext(ctx, "x-plan"); len(plan) == 1 && plans[plan[0]] != nil {
			return plans[plan[0]]
		}
		return plans["free"]
	}))
	defer stop()
	twice(metadata.AppendToOutgoingContext(context.Background(), "x-user", "ann", "x-plan", "paid"), client)
	twice(metadata.AppendToOutgoingContext(context.Background(), "x-user", "bob"), client)

	// Output:
	// UnaryCall OK EmptyCall OK
	// UnaryCall OK EmptyCall OK
	// UnaryCall OK EmptyCall OK
	// UnaryCall ResourceExhausted EmptyCall ResourceExhausted
}

func ExampleWithCost() {
	client, stop := limited(bucket.MustRule("all", "3/minute"), grpcmw.PeerIP(), grpcmw.WithCost(func(_ context.Context, _ string, request any) int64 {
		if _, ok := request.(*testgrpc.SimpleRequest); ok {
			return 2
		}
		return 1
	}))
	defer stop()
	twice(context.Background(), client)

	// Output:
	// UnaryCall OK EmptyCall OK
	// UnaryCall ResourceExhausted EmptyCall ResourceExhausted
}

func ExampleWithNoKeyCode() {
	client, stop := limited(bucket.MustRule("all", "10/minute"), grpcmw.Metadata("x-user"), grpcmw.WithNoKeyCode(codes.Unauthenticated))
	defer stop()
	_, err := client.EmptyCall(context.Background(), &testgrpc.Empty{})
	fmt.Println(err)

	// Output:
	// rpc error: code = Unauthenticated desc = the call does not say on whose behalf it is made
}

func ExampleWithMessageLimit() {
	client, stop := limited(bucket.MustRule("streams", "10/minute"), grpcmw.PeerIP(), grpcmw.WithMessageLimit(bucket.MustRule("messages", "2/minute")))
	defer stop()
	stream, err := client.FullDuplexCall(context.Background())
	for range 3 {
		if err == nil {
			err = stream.Send(&testgrpc.StreamingOutputCallRequest{})
		}
		if err == nil {
			_, err = stream.Recv()
		}
		fmt.Println(err)
	}

	// Output:
	// <nil>
	// <nil>
	// rpc error: code = ResourceExhausted desc = rate limit exceeded: 2 per 1 minute
}

func ExampleWithMessageWait() {
	// A *cluster.Node can wait.
	_, err := grpcmw.New(newLocal(), nil, grpcmw.PeerIP(), grpcmw.WithMessageWait(bucket.MustRule("messages", "100/second")))
	fmt.Println(err)

	// Output:
	// grpcmw: messages under rule "messages" shall wait, and the limiter, a *grpcmw_test.local, has no method Wait; give New a *cluster.Node, or use WithMessageLimit
}
