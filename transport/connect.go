package transport

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// errSilent ends a stream whose other end says nothing.
var errSilent = errors.New("silent for too long")

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
)

// connect keeps a stream to the peer: it opens one, reads it until it breaks,
// and tries again, at once the first time and then after a delay that grows.
func (p *Peer) connect(ctx context.Context) {
	backoff := firstBackoff
	for {
		start := p.config.Now()
		established, err := p.attempt(ctx)
		if ctx.Err() != nil {
			return
		}
		p.config.Meter.lost.Add(1)
		if lasted := p.config.Now() - start; established && lasted > int64(lastBackoff) {
			backoff = firstBackoff
			p.config.Log.Info("stream to peer broke", "peer", p.config.Address, "error", reason(err))
			continue
		}
		p.config.Log.Log(ctx, level(err, backoff), "can't reach peer", "peer", p.config.Address, "error", reason(err))
		p.drop(disconnected, ErrUnavailable)
		sleep(ctx, jitter(backoff))
		backoff = min(2*backoff, lastBackoff)
	}
}

// level is that of a failed attempt: a peer that refuses is somebody's mistake,
// one that can't be reached may have left. Only the first of a row is shown.
func level(err error, backoff time.Duration) slog.Level {
	switch {
	case backoff != firstBackoff:
		return slog.LevelDebug
	case status.Code(err) == codes.FailedPrecondition:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// reason is the error in the words of the other end, without gRPC's prefix.
func reason(err error) string {
	return status.Convert(err).Message()
}

// attempt opens one connection with one stream and reads it until it breaks.
func (p *Peer) attempt(ctx context.Context) (established bool, err error) {
	conn, err := p.open(0, maxMessage)
	if err != nil {
		return false, err
	}
	// gRPC takes 5 s to close a connection that accepts nothing; the next attempt
	// needn't wait for that.
	defer p.wg.Go(func() { _ = conn.Close() })
	ctx, cancel := context.WithCancelCause(p.config.Hello.attach(ctx, p.config.Boot))
	defer cancel(nil)
	desc := askDesc(nil)
	dialing := time.AfterFunc(dialTime, func() { cancel(nil) })
	stream, err := conn.NewStream(ctx, &desc, methodAsk)
	var boot string
	if err == nil {
		boot, err = greeted(stream, p.config.Boot)
	}
	if !dialing.Stop() { // err says no more than that the context was cancelled
		err = context.DeadlineExceeded
	}
	if err != nil {
		return false, err
	}
	defer p.broken()
	p.established(stream, boot, func() { cancel(errSilent) })
	err = p.receive(stream)
	if errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	return true, err
}

// open makes a connection that takes messages up to a size, and is closed when it
// has been idle for a while unless that is 0. It connects when it is used.
func (p *Peer) open(idle time.Duration, size int) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+p.config.Address,
		grpc.WithTransportCredentials(p.credentials()),
		grpc.WithContextDialer(p.config.Dial),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(idle),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstBackoff, Multiplier: 2, Jitter: 0.5, MaxDelay: lastBackoff},
			MinConnectTimeout: dialTime,
		}),
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{&p.buffers}), grpc.MaxCallRecvMsgSize(size)),
	)
}

func (p *Peer) credentials() credentials.TransportCredentials {
	if p.config.TLS == nil {
		return insecure.NewCredentials()
	}
	return fresh{credentials.NewTLS(nil), p.config.TLS}
}

// greeted waits until the other end has said hello, and makes sure that it is the
// boot peer, and returns which it is. A stream that it refuses has no header; the
// reason then comes in place of a frame.
func greeted(stream grpc.ClientStream, peer uint64) (boot string, err error) {
	switch header, err := stream.Header(); {
	case err != nil:
		return "", err
	case header != nil:
		return first(header, headerBoot), meant(peer, header)
	}
	return "", stream.RecvMsg(new(frame))
}

// receive ends the calls of each frame as its reply comes, until the stream
// breaks or the peer breaks the rules.
func (p *Peer) receive(stream grpc.ClientStream) error {
	f := new(frame)
	for {
		if err := stream.RecvMsg(f); err != nil {
			return err
		}
		freed, err := p.received(f.in.ReadOnlyData())
		f.in.Free()
		if err != nil {
			return err
		}
		// The callers just woken are about to ask again: let their hits make
		// the next frame before it leaves.
		runtime.Gosched()
		p.freed(freed)
	}
}

// freed lets what has waited for so many frames go on.
func (p *Peer) freed(frames int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight -= frames
	p.pump()
}

// received deals with the frame b, and returns how many frames no longer hold back
// the next.
func (p *Peer) received(b []byte) (freed int, err error) {
	if kindOf(b) == kindSight {
		return 0, p.sees(b)
	}
	return 1, p.answered(b)
}

// answered ends the calls of the oldest frame in flight by the reply b.
func (p *Peer) answered(b []byte) error {
	r := &p.reply
	if err := r.parse(b); err != nil {
		return err
	}
	r.now = p.config.Now()
	sent, err := p.landed(r)
	if err != nil {
		return err
	}
	sent.end(r)
	p.mu.Lock()
	p.recycle(sent)
	p.mu.Unlock()
	return nil
}

// landed takes the oldest frame out of those in flight, if the reply is one to it.
func (p *Peer) landed(r *reply) (*batch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.flights) == 0 {
		return nil, malformed("a reply to nothing")
	}
	sent := p.flights[0]
	if err := r.check(sent); err != nil {
		return nil, err
	}
	n := copy(p.flights, p.flights[1:])
	p.flights[n] = nil
	p.flights = p.flights[:n]
	p.unanswered -= sent.bytes
	p.hear(r.now)
	return sent, nil
}

// end ends the calls by the reply. If it panics those that are left end all the same.
func (b *batch) end(r *reply) {
	var at *Call // the one that is being ended
	left := b.calls
	defer func() {
		if at == nil {
			return
		}
		at.abandon()
		at.next.failAll(ErrPanic)
		for _, c := range left {
			c.failAll(ErrPanic)
		}
	}()
	for _, c := range b.calls {
		at, left = c, left[1:]
		if r.next(&c.Hit); c.others == 0 {
			c.end(r)
			continue
		}
		for i := 0; c != nil; i++ {
			at = c
			next := c.next // before it is somebody else's
			c.endRun(r, i)
			c = next
		}
	}
	at = nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
