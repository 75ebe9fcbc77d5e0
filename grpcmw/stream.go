package grpcmw

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Stream returns the interceptor of streams.
func (i *Interceptor) Stream() grpc.StreamServerInterceptor {
	return func(server any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		g, exempt, err := i.guard(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		if exempt || g == nil && i.messages == nil {
			return handler(server, ss)
		}
		begun := pass{leave: stay}
		if g != nil {
			if begun, err = i.admit(ss.Context(), g, info.FullMethod, nil); err != nil {
				ss.SetTrailer(begun.fields)
				return err
			}
		}
		defer begun.leave()
		s := &stream{ServerStream: ss, interceptor: i, method: info.FullMethod, begun: begun.fields}
		return s.end(handler(server, s))
	}
}

// stream is a stream as its handler has it.
type stream struct {
	grpc.ServerStream
	interceptor *Interceptor
	method      string
	begun       metadata.MD           // what was decided when it began
	told        sync.Once             // the client, of that
	refused     atomic.Pointer[error] // the status that ends it
}

// RecvMsg charges what it receives.
func (s *stream) RecvMsg(message any) error {
	if err := s.refused.Load(); err != nil {
		return *err
	}
	err := s.ServerStream.RecvMsg(message)
	if err != nil || s.interceptor.messages == nil {
		return err
	}
	p, err := s.interceptor.admit(s.Context(), s.interceptor.messages, s.method, message)
	if err != nil {
		s.SetTrailer(p.fields)
		s.refused.Store(&err)
	}
	return err
}

// SendHeader adds to the header where the client stands.
func (s *stream) SendHeader(md metadata.MD) error {
	s.tell()
	return s.ServerStream.SendHeader(md)
}

// SendMsg does so if it sends the header.
func (s *stream) SendMsg(message any) error {
	s.tell()
	return s.ServerStream.SendMsg(message)
}

func (s *stream) tell() {
	s.told.Do(func() {
		if s.SetHeader(s.begun) != nil { // it was sent past us
			s.SetTrailer(s.begun)
		}
	})
}

// end returns what the client gets when the handler has returned err.
func (s *stream) end(err error) error {
	if refused := s.refused.Load(); refused != nil {
		return *refused
	}
	s.told.Do(func() { s.SetTrailer(s.begun) })
	return err
}
