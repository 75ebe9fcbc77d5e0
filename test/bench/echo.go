package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// streamEcho is the least that a question over gRPC can cost: as many bytes as a hit
// of Shoal's there, as many as its verdict back, over a bidirectional stream that
// nobody else uses meanwhile, with the window settings that suit it best. Nothing is
// decided. It is for the lone caller: with more, each has a stream for the time of its
// question.
type streamEcho struct{ secure bool }

const (
	echoMethod   = "/shoal.bench.Echo/Echo"
	echoRequest  = 5 + 24 + 2 + 60 + tcpHit // the rule takes about 60
	echoReply    = 5 + 16 + tcpVerdict
	echoWindow   = 4 << 20
	echoSettings = "echo" // name of the codec
)

// bytesCodec sends and receives *[]byte as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return echoSettings }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b := v.(*[]byte)
	if data.Len() > cap(*b) {
		return fmt.Errorf("a message of %d bytes", data.Len())
	}
	*b = (*b)[:data.Len()]
	data.CopyTo(*b)
	return nil
}

func (s streamEcho) serve() (address string, stop func(), err error) {
	l, err := listen(false)
	if err != nil {
		return "", nil, err
	}
	creds := insecure.NewCredentials()
	if s.secure {
		config, err := mutual()
		if err != nil {
			return "", nil, err
		}
		creds = credentials.NewTLS(config)
	}
	server := grpc.NewServer(grpc.Creds(creds), grpc.ForceServerCodecV2(bytesCodec{}),
		grpc.StaticStreamWindowSize(echoWindow), grpc.StaticConnWindowSize(echoWindow))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shoal.bench.Echo", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Echo", Handler: echo, ServerStreams: true, ClientStreams: true}},
	}, s)
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), server.Stop, nil
}

// echo answers each message of a stream.
func echo(_ any, stream grpc.ServerStream) error {
	in, out := make([]byte, echoRequest), make([]byte, echoReply)
	for {
		if err := stream.RecvMsg(&in); err != nil {
			return nil
		}
		if err := stream.SendMsg(&out); err != nil {
			return err
		}
	}
}

func (s streamEcho) connect(_ context.Context, address string, _ int) (asker, error) {
	creds := insecure.NewCredentials()
	if s.secure {
		config, err := mutual()
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds), grpc.WithDisableRetry(),
		grpc.WithStaticStreamWindowSize(echoWindow), grpc.WithStaticConnWindowSize(echoWindow),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		return nil, err
	}
	return &echoAsker{conn: conn, free: make(chan *echoStream, maxCallers)}, nil
}

type echoAsker struct {
	conn *grpc.ClientConn
	free chan *echoStream
}

type echoStream struct {
	grpc.ClientStream
	out, in []byte
}

func (a *echoAsker) ask(int) error {
	var s *echoStream
	select {
	case s = <-a.free:
	default:
		stream, err := a.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, echoMethod)
		if err != nil {
			return err
		}
		s = &echoStream{stream, make([]byte, echoRequest), make([]byte, echoReply)}
	}
	if err := s.SendMsg(&s.out); err != nil {
		return err
	}
	if err := s.RecvMsg(&s.in); err != nil {
		return err
	}
	a.free <- s
	return nil
}

func (a *echoAsker) check() error { return nil }

func (a *echoAsker) close() { _ = a.conn.Close() }
