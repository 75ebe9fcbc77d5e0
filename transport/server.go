package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Server answers the hits of all peers. It is safe for concurrent use.
type Server struct {
	handler Handler
	hello   Hello
	grpc    *grpc.Server
	senders senders
	buffers pool
}

// NewServer makes a server whose hits are decided by the handler. Without a TLS
// configuration it talks plain text.
func NewServer(handler Handler, hello Hello, secure *tls.Config) *Server {
	s := &Server{handler: handler, hello: hello}
	credentials := insecure.NewCredentials()
	if secure != nil {
		credentials = grpccredentials.NewTLS(secure)
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials),
		grpc.ForceServerCodecV2(rawCodec{&s.buffers}),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.MaxRecvMsgSize(callSize(MaxCall)),
		grpc.MaxHeaderListSize(8<<10),
		grpc.MaxConcurrentStreams(32), // so many calls of a peer at a time
		grpc.ConnectionTimeout(3*time.Second),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{callDesc(s.call)},
		Streams:     []grpc.StreamDesc{askDesc(func(_ any, stream grpc.ServerStream) error { return s.serve(stream) })},
	}, s)
	return s
}

// Serve accepts peers until Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Close ends all streams and listeners, and waits until no hit is being decided.
func (s *Server) Close() {
	s.grpc.Stop()
	s.senders.close()
}

// serve answers one stream, frame by frame.
func (s *Server) serve(stream grpc.ServerStream) error {
	from, err := s.hello.check(stream.Context())
	if err != nil {
		return err
	}
	one := s.senders.join(from)
	if one == nil {
		return status.Errorf(codes.ResourceExhausted, "shoal: %d boots have asked lately; try again in %v", maxSenders, memoryTime)
	}
	defer s.senders.leave(from, one)
	if err := stream.SendHeader(s.hello.header()); err != nil { // the asker waits for it
		return err
	}
	session := session{decider: decider{handler: s.handler}, memory: &one.memory, from: from, buffers: &s.buffers}
	in := new(frame)
	for {
		if err := stream.RecvMsg(in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		out, err := session.answer(in.in.ReadOnlyData())
		in.in.Free()
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := stream.SendMsg(out); err != nil {
			return err
		}
	}
}
