package grpcmw_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

// broken is a limiter that panics, whatever it is asked.
type broken struct{}

func (broken) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	panic("limiter")
}

func (broken) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	panic("limiter")
}

// forgetful is a limiter that grants slots, and panics when one is given back.
type forgetful struct{ broken }

func (forgetful) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	return func() { panic("release") }, bucket.Decision{Allowed: true}, nil
}

// A limiter that panics when a call ends isn't that call's affair.
func TestPanicsOnTheWayBack(t *testing.T) {
	i, err := grpcmw.New(forgetful{}, bucket.MustRule("slots", "1 concurrent"), func(context.Context, string, any) (string, error) { return "all", nil })
	if err != nil {
		t.Fatal(err)
	}
	response, err := i.Unary()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/shop.Orders/Get"}, func(context.Context, any) (any, error) { return "yes", nil })
	if response != "yes" || err != nil {
		t.Errorf("%v, %v", response, err)
	}
}

// Where the limiter panics the rule's failure policy decides; a panic of the handler
// goes on as it would without the interceptor.
func TestPanics(t *testing.T) {
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.Orders/Get"}
	key := func(context.Context, string, any) (string, error) { return "all", nil }
	for _, limits := range []string{"1/hour", "1 concurrent"} {
		for policy, want := range map[bucket.FailurePolicy]codes.Code{bucket.LocalShare: codes.OK, bucket.Allow: codes.OK, bucket.Deny: codes.Unavailable} {
			i, err := grpcmw.New(broken{}, bucket.MustRule("api", limits, bucket.WithFailurePolicy(policy)), key)
			if err != nil {
				t.Fatal(err)
			}
			_, err = i.Unary()(t.Context(), nil, info, func(context.Context, any) (any, error) { return nil, nil })
			if status.Code(err) != want {
				t.Errorf("%s, %v: %v, want %v", limits, policy, err, want)
			}
		}
	}
	i, err := grpcmw.New(broken{}, bucket.MustRule("api", "1/hour"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != "handler" {
			t.Errorf("%v came through", p)
		}
	}()
	_, _ = i.Unary()(t.Context(), nil, info, func(context.Context, any) (any, error) { panic("handler") })
}
