package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	callHeader = 4

	// bulkIdle is how long the connection of the calls stays open without one.
	bulkIdle = time.Minute
)

func callSize(payload int) int { return envelopeBytes + callHeader + payload }

// putCall makes the frame of a call or of its answer. It comes from the heap: the
// pool would clear megabytes for it.
func putCall(frameKind, kind uint8, payload []byte) *frame {
	buf := make([]byte, callSize(len(payload)))
	f := buf[envelopeBytes:]
	f[0], f[1], f[2] = version, frameKind, kind
	copy(f[callHeader:], payload)
	seal(buf)
	return &frame{out: &buf}
}

func parseCall(b []byte, frameKind uint8) (kind uint8, payload []byte, err error) {
	f, err := unseal(b)
	switch {
	case err != nil:
		return 0, nil, err
	case len(f) < callHeader:
		return 0, nil, malformed("%d bytes are no header", len(f))
	case f[0] != version || f[1] != frameKind:
		return 0, nil, malformed("version %d, kind %d", f[0], f[1])
	case len(f)-callHeader > MaxCall:
		return 0, nil, malformed("a payload of %d bytes", len(f)-callHeader)
	}
	return f[2], f[callHeader:], nil
}

// Call sends the payload to the peer's Handler, which knows by kind what to make
// of it, and returns its answer. Calls have a connection of their own, made when
// the first needs it, so that however many and large they are no hit waits for
// them; 32 are handled at a time. Payload and answer have MaxCall bytes at most.
//
// Call waits as long as ctx lets it, also for a peer that is silent. The error is
// ErrTooBig, ErrClosed, ErrUnavailable, ErrDeadline or the context's, wrapped, or
// else the text of the handler's. After all but the first it is not known whether
// the call was handled.
func (p *Peer) Call(ctx context.Context, kind uint8, payload []byte) ([]byte, error) {
	if len(payload) > MaxCall {
		return nil, fmt.Errorf("%w: %d bytes of at most %d", ErrTooBig, len(payload), MaxCall)
	}
	conn, err := p.bulkConn()
	if err != nil {
		return nil, err
	}
	var in frame
	var header metadata.MD
	err = conn.Invoke(p.config.Hello.attach(ctx, p.config.Boot), methodCall, putCall(kindCall, kind, payload), &in, grpc.Header(&header))
	if err == nil {
		defer in.in.Free()
		err = meant(p.config.Boot, header)
	}
	if err != nil {
		return nil, p.callError(ctx, err)
	}
	_, answer, err := parseCall(in.in.ReadOnlyData(), kindCallReply)
	return bytes.Clone(answer), err
}

// bulkConn returns the connection of the calls, which Close closes.
func (p *Peer) bulkConn() (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == closed {
		return nil, ErrClosed
	}
	if p.bulk != nil {
		return p.bulk, nil
	}
	conn, err := p.open(bulkIdle, callSize(MaxCall)) // it connects later
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	p.bulk = conn
	p.wg.Go(func() {
		<-p.done
		_ = conn.Close()
	})
	return conn, nil
}

// callError says in this package's terms why a call failed.
func (p *Peer) callError(ctx context.Context, err error) error {
	why := reason(err)
	code := status.Code(err)
	p.mu.Lock()
	over := p.state == closed
	p.mu.Unlock()
	switch {
	case code == codes.DeadlineExceeded || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: %s", ErrDeadline, why)
	case ctx.Err() != nil:
		return fmt.Errorf("transport: call: %w", ctx.Err())
	case code == codes.Unknown:
		return fmt.Errorf("transport: %s answers: %s", p.config.Address, why)
	case over:
		return fmt.Errorf("%w: %s", ErrClosed, why)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, why)
}

// call answers a bulk call.
func (s *Server) call(stream grpc.ServerStream) (err error) {
	defer s.recovered("answering a peer's call", &err)
	ctx := stream.Context()
	from, err := s.admit(ctx)
	if err != nil {
		return err
	}
	if err := stream.SetHeader(s.hello.header()); err != nil {
		return err
	}
	var in frame
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	defer in.in.Free()
	kind, payload, err := parseCall(in.in.ReadOnlyData(), kindCall)
	if err != nil {
		return status.Error(codes.Unknown, err.Error())
	}
	answer, err := s.handler.Call(ctx, from, kind, payload)
	if err == nil && len(answer) > MaxCall {
		err = fmt.Errorf("%w: an answer of %d bytes", ErrTooBig, len(answer))
	}
	if err != nil {
		return status.Error(codes.Unknown, err.Error())
	}
	return stream.SendMsg(putCall(kindCallReply, kind, answer))
}
