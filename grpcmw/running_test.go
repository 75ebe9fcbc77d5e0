package grpcmw_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

const oneAtATime = `"1 concurrent";q=1;qu="concurrent-requests"`

// While a call runs there is no other, and after it, however it ends, there is one.
func TestUnaryCallsRun(t *testing.T) {
	for name, end := range map[string]struct {
		handler func() error
		code    codes.Code
	}{
		"returns": {func() error { return nil }, codes.OK},
		"fails":   {func() error { return newStatus(codes.NotFound) }, codes.NotFound},
		"panics":  {func() error { panic("at the end") }, codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := service{unary: func(context.Context) error { time.Sleep(time.Second); return end.handler() }}
				c := serve(t, newLimit(t, newNode(t), bucket.MustRule("one", "1 concurrent"), everybody), s)
				running := make(chan answer, 1)
				go func() { running <- call(t.Context(), c) }()
				synctest.Wait()
				a := call(t.Context(), c)
				if after := checkRefusal(t, a.err, "one", "1 concurrent"); after != -1 {
					t.Errorf("RetryInfo says %v, which nobody knows", after)
				}
				checkFields(t, a.trailer, `"1 concurrent";r=0`, oneAtATime)
				a = <-running
				checkCode(t, a.err, end.code)
				if name == "returns" {
					checkFields(t, a.header, `"1 concurrent";r=0`, oneAtATime)
				}
				time.Sleep(time.Second) // until all replicas know
				checkCode(t, call(t.Context(), c).err, end.code)
			})
		})
	}
}

// A stream runs until its handler has returned, which is not when its client goes.
func TestStreamsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := service{duplex: func(s testgrpc.TestService_FullDuplexCallServer) error {
			<-s.Context().Done()
			time.Sleep(time.Minute)
			panic("at the end")
		}}
		c := serve(t, newLimit(t, newNode(t), bucket.MustRule("one", "1 concurrent"), everybody), s)
		ctx, hangUp := context.WithCancel(t.Context())
		if _, err := c.FullDuplexCall(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		refused := func() {
			t.Helper()
			_, err := kinds["client"](t.Context(), c)
			checkRefusal(t, err, "one", "1 concurrent")
		}
		refused()
		hangUp()
		time.Sleep(59 * time.Second)
		refused()
		time.Sleep(2 * time.Second)
		for range 2 { // one after the other
			_, err := kinds["client"](t.Context(), c)
			checkCode(t, err, codes.OK)
			time.Sleep(time.Second)
		}
	})
}

// acquirer decides all slots alike, and counts what is released.
type acquirer struct {
	fake
	released int
}

func (a *acquirer) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	return func() { a.released++ }, a.d, a.err
}

func TestReleasedOnce(t *testing.T) {
	one := bucket.Limit{Algorithm: bucket.Concurrent, Count: 1}
	for name, x := range map[string]struct {
		d        bucket.Decision
		err      error
		code     codes.Code
		released int
	}{
		"allowed":    {d: bucket.Decision{Allowed: true, Limit: one}, released: 1},
		"in shadow":  {d: bucket.Decision{Allowed: true, WouldRefuse: true, Limit: one}, released: 1},
		"refused":    {d: bucket.Decision{Limit: one}, code: codes.ResourceExhausted, released: 1},
		"no answer":  {err: errors.New("closed"), code: codes.Unavailable},
		"impossible": {d: bucket.Decision{Allowed: true, Delay: time.Hour, Limit: one}, code: codes.DeadlineExceeded, released: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &acquirer{fake: fake{d: x.d, err: x.err}}
				c := serve(t, newLimit(t, a, bucket.MustRule("one", "1 concurrent"), everybody), service{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				checkCode(t, call(ctx, c).err, x.code)
				_, err := kinds["client"](ctx, c)
				checkCode(t, err, x.code)
				if synctest.Wait(); a.released != 2*x.released {
					t.Errorf("two calls were released %d times", a.released)
				}
				a.check(t)
			})
		})
	}
}

// Rates and slots in one server, by method, and a cost that slots don't have.
func TestRatesAndSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := bucket.MustRule("streams", "1 concurrent")
		limit := newLimit(t, newNode(t), bucket.MustRule("calls", "20/minute"), everybody,
			grpcmw.WithRules(map[string]*bucket.Rule{"/grpc.testing.TestService/FullDuplexCall": streams}),
			grpcmw.WithCost(func(context.Context, string, any) int64 { return 10 }))
		c := serve(t, limit, service{})
		if _, err := c.FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := kinds["bidi"](t.Context(), c)
		checkRefusal(t, err, "streams", "1 concurrent")
		for range 2 {
			checkCode(t, call(t.Context(), c).err, codes.OK)
		}
		checkRefusal(t, call(t.Context(), c).err, "calls", "20 per 1 minute")
	})
}
