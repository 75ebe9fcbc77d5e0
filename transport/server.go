package transport

import (
	"context"
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
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Server answers the hits of all peers. It is safe for concurrent use.
type Server struct {
	handler Handler
	door    Doorkeeper // nil lets everybody in
	hello   Hello
	grpc    *grpc.Server
	senders senders
	witness Witness // nil is told nothing
	buffers pool
}

// NewServer makes a server whose hits are decided by the handler, which may be a
// Doorkeeper and a Witness too. Without a TLS configuration it talks plain text.
func NewServer(handler Handler, hello Hello, secure *tls.Config) *Server {
	s := &Server{handler: handler, hello: hello}
	s.door, _ = handler.(Doorkeeper)
	s.witness, _ = handler.(Witness)
	credentials := insecure.NewCredentials()
	if secure != nil {
		credentials = grpccredentials.NewTLS(secure)
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(through{credentials}),
		grpc.ForceServerCodecV2(rawCodec{&s.buffers}),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(window),
		grpc.MaxRecvMsgSize(callSize(MaxCall)),
		grpc.MaxHeaderListSize(8<<10),
		grpc.MaxConcurrentStreams(32), // so many calls of a peer at a time
		grpc.ConnectionTimeout(3*time.Second),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 2 * bulkIdle, Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			askDesc(func(_ any, stream grpc.ServerStream) error { return s.serve(stream) }),
			callDesc(func(_ any, stream grpc.ServerStream) error { return s.call(stream) }),
		},
	}, s)
	return s
}

// Serve accepts peers until Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(newGate(l)); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Close ends all streams and listeners, and waits until no hit is being decided.
func (s *Server) Close() {
	s.grpc.Stop()
	s.senders.close()
}

// admitTime is how long a sender may wait at the door: for less than it waits itself.
const admitTime = dialTime * 9 / 10

// admit returns the boot of the sender of a stream or a call, if it may come in.
func (s *Server) admit(ctx context.Context) (from uint64, err error) {
	from, err = s.hello.check(ctx)
	if err != nil {
		return 0, err
	}
	var info shown
	if p, ok := peer.FromContext(ctx); ok {
		info, _ = p.AuthInfo.(shown)
	}
	if s.door != nil {
		ctx, cancel := context.WithTimeout(ctx, admitTime)
		defer cancel()
		if err := s.door.Admit(ctx, from, info.certificate()); err != nil {
			return 0, status.Errorf(codes.PermissionDenied, "shoal: boot %s: %v", idText(from), err)
		}
	}
	if info.visitor != nil {
		info.visitor.welcome()
	}
	return from, nil
}

// certificate returns the one that was shown, or nil.
func (i shown) certificate() []byte {
	t, ok := i.AuthInfo.(grpccredentials.TLSInfo)
	if !ok || len(t.State.PeerCertificates) == 0 {
		return nil
	}
	return t.State.PeerCertificates[0].Raw
}

// recovered makes the end of a stream or a call of a panic.
func (s *Server) recovered(where string, err *error) {
	if p := recover(); p != nil {
		if s.witness != nil {
			s.witness.Panicked(where, p)
		}
		*err = status.Errorf(codes.Internal, "shoal: a mistake in this replica: %v", p)
	}
}

// serve answers one stream, frame by frame.
func (s *Server) serve(stream grpc.ServerStream) (err error) {
	defer s.recovered("answering a peer's hits", &err)
	from, err := s.admit(stream.Context())
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
