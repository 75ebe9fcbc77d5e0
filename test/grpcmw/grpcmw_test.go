// Package grpcmw tests Shoal's package of that name against what it was made to fit
// and its own tests may not import: so this is a module of its own, and none of that
// reaches a user's go.mod.
//
// The interceptors of go-grpc-middleware v2 take an Adapter as their Limiter. They
// answer in their own words, always with RESOURCE_EXHAUSTED and without details; but
// what the Adapter has put in the trailer arrives, and so gRPC's own retries wait as
// long as they should.
//
// A library for structured fields (RFC 9651) reads the metadata of calls that went
// through gRPC, as clients of other make would.
//
// All of it runs in simulated time, on a network in memory.
package grpcmw

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/ratelimit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/grpcmw"
)

var _ ratelimit.Limiter = (*grpcmw.Adapter)(nil)

type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

func (service) StreamingOutputCall(*testgrpc.StreamingOutputCallRequest, testgrpc.TestService_StreamingOutputCallServer) error {
	return nil
}

func newNode(t *testing.T) *cluster.Node {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return node
}

// dial returns a client, whose service config may be "", of a server with the options.
func dial(t *testing.T, config string, opts ...grpc.ServerOption) testgrpc.TestServiceClient {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(s, service{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	}
	if config != "" {
		client = append(client, grpc.WithDefaultServiceConfig(config))
	}
	c, err := grpc.NewClient("passthrough:///memory", client...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return testgrpc.NewTestServiceClient(c)
}

// adapted serves by go-grpc-middleware's interceptors.
func adapted(t *testing.T, config, limits string) testgrpc.TestServiceClient {
	t.Helper()
	a, err := grpcmw.NewAdapter(newNode(t), bucket.MustRule("api", limits), grpcmw.Join(grpcmw.Metadata("x-user"), grpcmw.Method))
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, config, grpc.UnaryInterceptor(ratelimit.UnaryServerInterceptor(a)), grpc.StreamInterceptor(ratelimit.StreamServerInterceptor(a)))
}

func call(ctx context.Context, c testgrpc.TestServiceClient) (md metadata.MD, err error) {
	var header, trailer metadata.MD
	_, err = c.EmptyCall(ctx, &testgrpc.Empty{}, grpc.Header(&header), grpc.Trailer(&trailer))
	return metadata.Join(header, trailer), err
}

func stream(ctx context.Context, c testgrpc.TestServiceClient) (metadata.MD, error) {
	s, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
	if err != nil {
		return nil, err
	}
	if _, err = s.Recv(); errors.Is(err, io.EOF) {
		err = nil
	}
	return s.Trailer(), err
}

func TestGoGRPCMiddleware(t *testing.T) {
	for name, x := range map[string]struct {
		call   func(context.Context, testgrpc.TestServiceClient) (metadata.MD, error)
		method string
	}{
		"unary":  {call, "/grpc.testing.TestService/EmptyCall"},
		"stream": {stream, "/grpc.testing.TestService/StreamingOutputCall"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := adapted(t, "", "1/minute")
				ann := metadata.AppendToOutgoingContext(t.Context(), "x-user", "ann")
				bob := metadata.AppendToOutgoingContext(t.Context(), "x-user", "bob")
				for _, user := range []context.Context{ann, bob} {
					md, err := x.call(user, c)
					if err != nil || len(md["retry-after"]) != 0 || len(md["ratelimit"]) != 1 {
						t.Errorf("got %v, %v", md, err)
					}
				}
				md, err := x.call(ann, c)
				s := status.Convert(err)
				if s.Code() != codes.ResourceExhausted || !strings.HasPrefix(s.Message(), x.method+" is rejected") || !strings.HasSuffix(s.Message(), "rate limit exceeded: 1 per 1 minute") {
					t.Errorf("got %v", s)
				}
				if md["retry-after"][0] != "60" || md["grpc-retry-pushback-ms"][0] != "60000" || md["ratelimit"][0] != `"1 per 1 minute";r=0;t=60` {
					t.Errorf("got %v", md)
				}
				if _, err := x.call(t.Context(), c); !strings.Contains(status.Convert(err).Message(), "on whose behalf") {
					t.Errorf("nobody got %v", err)
				}
				time.Sleep(time.Minute)
				if _, err := x.call(ann, c); err != nil {
					t.Errorf("after a minute: %v", err)
				}
			})
		})
	}
}

func TestRetriesWaitForTheAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := adapted(t, `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":2,"initialBackoff":"1s","maxBackoff":"1s",`+
			`"backoffMultiplier":1,"retryableStatusCodes":["RESOURCE_EXHAUSTED"]}}]}`, "1/minute")
		ctx, began := metadata.AppendToOutgoingContext(t.Context(), "x-user", "ann"), time.Now()
		for i := range 3 {
			if _, err := call(ctx, c); err != nil || time.Since(began) != time.Duration(i)*time.Minute {
				t.Errorf("call %d passed after %v: %v", i, time.Since(began), err)
			}
		}
	})
}

func TestMetadataIsStructuredFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule, err := bucket.NewRule("api", []bucket.Limit{
			{Count: 2, Per: time.Minute},
			{Name: `"quoted" \`, Count: 1000, Per: bucket.Day},
		})
		if err != nil {
			t.Fatal(err)
		}
		limit, err := grpcmw.New(newNode(t), rule, grpcmw.Method)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, "", grpc.UnaryInterceptor(limit.Unary()))
		for _, want := range []struct {
			code      codes.Code
			remaining int64
		}{{codes.OK, 1}, {codes.OK, 0}, {codes.ResourceExhausted, 0}} {
			md, err := call(t.Context(), c)
			if status.Code(err) != want.code {
				t.Errorf("got %v", err)
			}
			policies := read(t, md["ratelimit-policy"])
			if len(policies) != 2 {
				t.Fatalf("got %v", md)
			}
			checkItem(t, policies[0], "2 per 1 minute", map[string]int64{"q": 2, "w": 60})
			checkItem(t, policies[1], `"quoted" \`, map[string]int64{"q": 1000, "w": 86400})
			limits := read(t, md["ratelimit"])
			if len(limits) != 1 {
				t.Fatalf("got %v", md)
			}
			checkItem(t, limits[0], "2 per 1 minute", map[string]int64{"r": want.remaining, "t": 30})
		}
	})
}

func read(t *testing.T, values []string) (items []httpsfv.Item) {
	t.Helper()
	list, err := httpsfv.UnmarshalList(values)
	if err != nil {
		t.Fatalf("%q: %v", values, err)
	}
	for _, member := range list {
		items = append(items, member.(httpsfv.Item))
	}
	return items
}

func checkItem(t *testing.T, item httpsfv.Item, name string, params map[string]int64) {
	t.Helper()
	if item.Value != name || len(item.Params.Names()) != len(params) {
		t.Errorf("got %v with %v, want %s with %v", item.Value, item.Params.Names(), name, params)
	}
	for key, want := range params {
		if got, _ := item.Params.Get(key); got != want {
			t.Errorf("%s: %s is %v, want %d", name, key, got, want)
		}
	}
}
