package grpcmw_test

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
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

// local decides in this process, at a time that its owner sets. A service gives
// New its *cluster.Node instead.
type local struct {
	store *bucket.Store
	now   atomic.Int64 // in nanoseconds
}

func newLocal() *local { return &local{store: bucket.NewStore(bucket.StoreConfig{})} }

func (l *local) Take(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return l.store.Take(rule, key, tokens, l.now.Load()), nil
}

// fake is a Limiter that says what a test wants to hear, and keeps what it was asked.
type fake struct {
	d   bucket.Decision
	err error

	mu    sync.Mutex
	asked []asked
}

type asked struct {
	rule   string
	key    string
	tokens int64
}

func (f *fake) Take(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, asked{rule.Name(), key, tokens})
	return f.d, f.err
}

// check compares what was asked since the last check.
func (f *fake) check(t *testing.T, want ...asked) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !reflect.DeepEqual(f.asked, want) {
		t.Errorf("asked %v, want %v", f.asked, want)
	}
	f.asked = nil
}

var allowed = bucket.Decision{Allowed: true, Limit: bucket.Limit{Count: 10, Per: time.Minute}, Remaining: 9, ResetAfter: 6 * time.Second}

// everybody has the same key.
func everybody(context.Context, string, any) (string, error) { return "everybody", nil }

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

func newLimit(t *testing.T, l grpcmw.Limiter, rule *bucket.Rule, key grpcmw.KeyFunc, opts ...grpcmw.Option) *grpcmw.Interceptor {
	t.Helper()
	limit, err := grpcmw.New(l, rule, key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

// service is a server of which a test says what its methods do.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	unary  func(context.Context) error
	duplex func(testgrpc.TestService_FullDuplexCallServer) error
}

func (s service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if s.unary != nil {
		if err := s.unary(ctx); err != nil {
			return nil, err
		}
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (s service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// StreamingInputCall answers with the number of messages.
func (s service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	for n := int32(0); ; n++ {
		if _, err := stream.Recv(); err != nil {
			return stream.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: n})
		}
	}
}

// StreamingOutputCall answers each of the request's parameters.
func (s service) StreamingOutputCall(request *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	for range request.ResponseParameters {
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return nil
}

// FullDuplexCall answers each message.
func (s service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if s.duplex != nil {
		return s.duplex(stream)
	}
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// listener has all its connections come from one address.
type listener struct {
	*bufconn.Listener
	peer net.Addr
}

type conn struct {
	net.Conn
	peer net.Addr
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return conn{c, l.peer}, err
}

func (c conn) RemoteAddr() net.Addr { return c.peer }

var peerAddress = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}

// start runs a server on a network in memory until the test ends.
func start(t *testing.T, register func(*grpc.Server), server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, stop, err := listen(register, server, client...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// listen runs a server until stop is called.
func listen(register func(*grpc.Server), server []grpc.ServerOption, client ...grpc.DialOption) (c *grpc.ClientConn, stop func() error, err error) {
	l := listener{bufconn.Listen(1 << 16), peerAddress}
	client = append(client,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if c, err = grpc.NewClient("passthrough:///memory", client...); err != nil {
		return nil, nil, err
	}
	s := grpc.NewServer(server...)
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return c, func() error {
		err := c.Close()
		s.Stop()
		return errors.Join(err, <-served)
	}, nil
}

// serve starts a server that is limited so.
func serve(t *testing.T, limit *grpcmw.Interceptor, s service, client ...grpc.DialOption) testgrpc.TestServiceClient {
	t.Helper()
	return testgrpc.NewTestServiceClient(start(t, func(r *grpc.Server) { testgrpc.RegisterTestServiceServer(r, s) }, []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(recoverUnary, limit.Unary()),
		grpc.ChainStreamInterceptor(recoverStream, limit.Stream()),
	}, client...))
}

func recoverUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Unknown, "panic: %v", p)
		}
	}()
	return handler(ctx, request)
}

func recoverStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Unknown, "panic: %v", p)
		}
	}()
	return handler(server, stream)
}

// answer is all that a client gets to know about a unary call.
type answer struct {
	header, trailer metadata.MD
	err             error
}

func call(ctx context.Context, c testgrpc.TestServiceClient) (a answer) {
	_, a.err = c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&a.header), grpc.Trailer(&a.trailer))
	return a
}

func checkCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

// ours are the names that the interceptors set; md has no others of gRPC's making.
var ours = []string{"ratelimit", "ratelimit-policy", "retry-after", "grpc-retry-pushback-ms"}

// checkFields wants those fields, in the order of ours, "" for none.
func checkFields(t *testing.T, md metadata.MD, want ...string) {
	t.Helper()
	for i, name := range ours {
		var w []string
		if i < len(want) && want[i] != "" {
			w = []string{want[i]}
		}
		if got := md.Get(name); !reflect.DeepEqual(got, w) {
			t.Errorf("%s: got %q, want %q", name, got, w)
		}
	}
}

// details are those of a status.
func details(t *testing.T, err error) (retry *errdetails.RetryInfo, quota *errdetails.QuotaFailure) {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.RetryInfo:
			retry = d
		case *errdetails.QuotaFailure:
			quota = d
		default:
			t.Errorf("a detail of type %T", d)
		}
	}
	return retry, quota
}

// checkRefusal wants a refusal under the rule by the limit, and returns its RetryInfo, or -1
// without one.
func checkRefusal(t *testing.T, err error, rule, limit string) time.Duration {
	t.Helper()
	checkCode(t, err, codes.ResourceExhausted)
	retry, quota := details(t, err)
	if v := quota.GetViolations(); len(v) != 1 || v[0].Subject != rule || v[0].Description != limit {
		t.Errorf("got %v, want a violation of %q by %q", quota, rule, limit)
	}
	if retry == nil {
		return -1
	}
	return retry.RetryDelay.AsDuration()
}

// newStatus is an error of a handler.
func newStatus(code codes.Code) error { return status.Error(code, "by the handler") }

// first is the only value of a name, "" without one.
func first(md metadata.MD, name string) string {
	if v := md.Get(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

// sendHeader sends it past whatever wraps the stream.
func sendHeader(ctx context.Context, md metadata.MD) error { return grpc.SendHeader(ctx, md) }
