package grpcmw_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
)

// clientStream is what the clients' ends of all kinds of streams have in common.
type clientStream interface {
	Header() (metadata.MD, error)
	Trailer() metadata.MD
	CloseSend() error
	SendMsg(any) error
	RecvMsg(any) error
}

// kinds open a stream, send three messages, or one that asks for three, and read to
// the end, whose error they return.
var kinds = map[string]func(context.Context, testgrpc.TestServiceClient) (clientStream, error){
	"client": func(ctx context.Context, c testgrpc.TestServiceClient) (clientStream, error) {
		s, err := c.StreamingInputCall(ctx)
		if err != nil {
			return nil, err
		}
		return s, talk(s, 3, func() any { return &testgrpc.StreamingInputCallRequest{} }, &testgrpc.StreamingInputCallResponse{})
	},
	"server": func(ctx context.Context, c testgrpc.TestServiceClient) (clientStream, error) {
		s, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{ResponseParameters: make([]*testgrpc.ResponseParameters, 3)})
		if err != nil {
			return nil, err
		}
		return s, talk(s, 0, nil, &testgrpc.StreamingOutputCallResponse{})
	},
	"bidi": func(ctx context.Context, c testgrpc.TestServiceClient) (clientStream, error) {
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			return nil, err
		}
		return s, talk(s, 3, func() any { return &testgrpc.StreamingOutputCallRequest{} }, &testgrpc.StreamingOutputCallResponse{})
	},
}

func talk(s clientStream, messages int, request func() any, response any) error {
	for range messages {
		if err := s.SendMsg(request()); err != nil {
			break // RecvMsg says why
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for {
		if err := s.RecvMsg(response); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A stream is one call, whatever goes through it.
func TestStreamsAreCalls(t *testing.T) {
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, newLimit(t, newNode(t), bucket.MustRule("api", "1/minute"), grpcmw.PeerIP()), service{})
				s, err := open(t.Context(), c)
				checkCode(t, err, codes.OK)
				header, _ := s.Header()
				checkFields(t, header, `"1 per 1 minute";r=0;t=60`, `"1 per 1 minute";q=1;w=60`)
				checkFields(t, s.Trailer())

				s, err = open(t.Context(), c)
				if after := checkRefusal(t, err, "api", "1 per 1 minute"); after != time.Minute {
					t.Errorf("RetryInfo says %v", after)
				}
				checkFields(t, s.Trailer(), `"1 per 1 minute";r=0;t=60`, `"1 per 1 minute";q=1;w=60`, "60", "60000")
				time.Sleep(time.Minute)
				_, err = open(t.Context(), c)
				checkCode(t, err, codes.OK)
			})
		})
	}
}

// What a stream's handler does with the header is its own affair.
func TestFieldsOfStreams(t *testing.T) {
	const limit, policy = `"10 per 1 minute";r=9;t=6`, `"10 per 1 minute";q=10;w=60`
	own := metadata.Pairs("own", "1")
	for name, x := range map[string]struct {
		duplex   func(testgrpc.TestService_FullDuplexCallServer) error
		inHeader bool
	}{
		"fails at once":  {func(testgrpc.TestService_FullDuplexCallServer) error { return newStatus(codes.Unavailable) }, false},
		"says nothing":   {func(testgrpc.TestService_FullDuplexCallServer) error { return nil }, false},
		"sends a header": {func(s testgrpc.TestService_FullDuplexCallServer) error { return s.SendHeader(own) }, true},
		"sets a header": {func(s testgrpc.TestService_FullDuplexCallServer) error {
			_ = s.SetHeader(own)
			return s.SendMsg(&testgrpc.Empty{})
		}, true},
		"fails after a header": {func(s testgrpc.TestService_FullDuplexCallServer) error {
			_ = s.SendHeader(own)
			return newStatus(codes.NotFound)
		}, true},
		"sends it past us": {func(s testgrpc.TestService_FullDuplexCallServer) error {
			if err := sendHeader(s.Context(), own); err != nil {
				return err
			}
			return s.SendMsg(&testgrpc.Empty{})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, newLimit(t, &fake{d: allowed}, bucket.MustRule("api", "10/minute"), everybody), service{duplex: x.duplex})
			s, _ := kinds["bidi"](t.Context(), c)
			header, _ := s.Header()
			if x.inHeader {
				checkFields(t, header, limit, policy)
				checkFields(t, s.Trailer())
				if first(header, "own") != "1" {
					t.Errorf("got %v", header)
				}
			} else {
				checkFields(t, header)
				checkFields(t, s.Trailer(), limit, policy)
			}
		})
	}
}

// The second of three messages is one too many.
func TestMessageLimit(t *testing.T) {
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := newNode(t)
				limit := newLimit(t, node, nil, everybody, grpcmw.WithMessageLimit(bucket.MustRule("messages", "1/minute")))
				c := serve(t, limit, service{})
				s, err := open(t.Context(), c)
				if name == "server" { // it has only one
					checkCode(t, err, codes.OK)
					s, err = open(t.Context(), c)
				}
				if after := checkRefusal(t, err, "messages", "1 per 1 minute"); after != time.Minute {
					t.Errorf("RetryInfo says %v", after)
				}
				checkFields(t, s.Trailer(), `"1 per 1 minute";r=0;t=60`, `"1 per 1 minute";q=1;w=60`, "60", "60000")
				for range 3 {
					checkCode(t, call(t.Context(), c).err, codes.OK) // not a stream
				}
			})
		})
	}
}

// A handler can't go on with a stream that was refused, nor hide it.
func TestRefusedStreamsEnd(t *testing.T) {
	f := &fake{d: bucket.Decision{Limit: bucket.Limit{Count: 10, Per: time.Minute}, RetryAfter: time.Second}}
	s := service{duplex: func(s testgrpc.TestService_FullDuplexCallServer) error {
		for range 3 {
			_, err := s.Recv()
			checkRefusal(t, err, "messages", "10 per 1 minute")
		}
		return nil
	}}
	limit := newLimit(t, f, nil, everybody, grpcmw.WithMessageLimit(bucket.MustRule("messages", "10/minute")))
	_, err := kinds["bidi"](t.Context(), serve(t, limit, s))
	checkRefusal(t, err, "messages", "10 per 1 minute")
	f.check(t, asked{"messages", "everybody", 1})
}

// Calls and messages may share a rule: one token for the stream, one for each message.
func TestMessagesAndCallsUnderOneRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := bucket.MustRule("api", "4/minute")
		c := serve(t, newLimit(t, newNode(t), rule, everybody, grpcmw.WithMessageLimit(rule)), service{})
		_, err := kinds["client"](t.Context(), c)
		checkCode(t, err, codes.OK)
		checkCode(t, call(t.Context(), c).err, codes.ResourceExhausted)
	})
}

func TestMessagesHaveTheirKeyAndCost(t *testing.T) {
	f := &fake{d: allowed}
	size := func(_ context.Context, _ string, request any) int64 {
		if m, ok := request.(*testgrpc.StreamingInputCallRequest); ok {
			return int64(len(m.Payload.GetBody()))
		}
		return 100
	}
	key := func(_ context.Context, method string, request any) (string, error) {
		if request == nil {
			return method, nil
		}
		return "a message", nil
	}
	limit := newLimit(t, f, bucket.MustRule("calls", "10/minute"), key, grpcmw.WithCost(size), grpcmw.WithMessageLimit(bucket.MustRule("messages", "10/minute")))
	s, err := serve(t, limit, service{}).StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"abc", ""} {
		if err := s.Send(&testgrpc.StreamingInputCallRequest{Payload: &testgrpc.Payload{Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.CloseAndRecv()
	checkCode(t, err, codes.OK)
	f.check(t, asked{"calls", "/grpc.testing.TestService/StreamingInputCall", 100}, asked{"messages", "a message", 3}, asked{"messages", "a message", 0})
}

// Messages that wait are passed on as soon as they can be.
func TestMessageWait(t *testing.T) {
	for _, rule := range []string{"1/second", "1/second leaky burst 3"} {
		synctest.Test(t, func(t *testing.T) {
			var passed []time.Duration
			began := time.Now()
			s := service{duplex: func(s testgrpc.TestService_FullDuplexCallServer) error {
				for {
					if _, err := s.Recv(); err != nil {
						return nil
					}
					passed = append(passed, time.Since(began))
				}
			}}
			limit := newLimit(t, newNode(t), nil, everybody, grpcmw.WithMessageWait(bucket.MustRule("messages", rule)))
			c := serve(t, limit, s)
			_, err := kinds["bidi"](t.Context(), c)
			checkCode(t, err, codes.OK)
			if len(passed) != 3 || passed[0] != 0 || passed[1] != time.Second || passed[2] != 2*time.Second {
				t.Errorf("%s: passed after %v", rule, passed)
			}
		})
	}
}

func TestMessagesThatCannotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newNode(t)
		wait := func(rule string) testgrpc.TestServiceClient {
			return serve(t, newLimit(t, node, nil, everybody, grpcmw.WithMessageWait(bucket.MustRule(rule, rule))), service{})
		}
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		began := time.Now()
		_, err := kinds["bidi"](within(time.Second), wait("1/minute"))
		if after := checkRefusal(t, err, "1/minute", "1 per 1 minute"); after != time.Minute {
			t.Errorf("RetryInfo says %v", after)
		}
		_, err = kinds["bidi"](t.Context(), wait("0/minute"))
		if after := checkRefusal(t, err, "0/minute", "0 per 1 minute"); after != -1 {
			t.Errorf("RetryInfo says %v", after)
		}
		_, err = kinds["bidi"](within(time.Second), wait("1/minute leaky burst 3"))
		checkCode(t, err, codes.DeadlineExceeded)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("all that took %v", waited)
		}

		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = kinds["bidi"](gone, wait("2/minute"))
		checkCode(t, err, codes.Canceled)
	})
}

func TestMessagesWithoutAKey(t *testing.T) {
	f := &fake{d: allowed}
	key := func(_ context.Context, _ string, request any) (string, error) {
		if request == nil {
			return "a stream", nil
		}
		return "", nil
	}
	rule := bucket.MustRule("api", "10/minute")
	s, err := kinds["bidi"](t.Context(), serve(t, newLimit(t, f, rule, key, grpcmw.WithMessageLimit(rule)), service{}))
	checkCode(t, err, codes.InvalidArgument)
	checkFields(t, s.Trailer())
	f.check(t, asked{"api", "a stream", 1})
}

// What a refused message says is in the trailer, and nothing older beside it.
func TestFieldsOfRefusedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newLimit(t, newNode(t), bucket.MustRule("streams", "10/minute"), everybody, grpcmw.WithMessageLimit(bucket.MustRule("messages", "0/minute")))
		s, err := kinds["bidi"](t.Context(), serve(t, limit, service{}))
		checkRefusal(t, err, "messages", "0 per 1 minute")
		checkFields(t, s.Trailer(), `"0 per 1 minute";r=0`, `"0 per 1 minute";q=0;w=60`, "", "-1")
	})
}
