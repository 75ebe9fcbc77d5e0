package simnet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/test/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echo is a service of one bidirectional method that says everything twice: once here,
// once there.
var echo = grpc.ServiceDesc{
	ServiceName: "test.Echo",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Both",
		ServerStreams: true,
		ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var m wrapperspb.StringValue
				if err := s.RecvMsg(&m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(&m); err != nil {
					return err
				}
			}
		},
	}},
}

func serve(t *testing.T, h *simnet.Host) *grpc.Server {
	t.Helper()
	s := grpc.NewServer()
	s.RegisterService(&echo, nil)
	l, err := h.Listen(":7947")
	ok(t, err)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return s
}

func client(t *testing.T, from, to *simnet.Host) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+to.Addr()+":7947",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return from.Dial(ctx, addr) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: 2 * time.Second},
			MinConnectTimeout: time.Second,
		}))
	ok(t, err)
	t.Cleanup(func() { cc.Close() })
	return cc
}

func open(ctx context.Context, cc *grpc.ClientConn) (grpc.ClientStream, error) {
	return cc.NewStream(ctx, &echo.Streams[0], "/test.Echo/Both", grpc.WaitForReady(true))
}

func exchange(s grpc.ClientStream, text string) error {
	if err := s.SendMsg(wrapperspb.String(text)); err != nil {
		return s.RecvMsg(nil) // the reason; SendMsg says only EOF
	}
	var m wrapperspb.StringValue
	if err := s.RecvMsg(&m); err != nil {
		return err
	}
	if m.Value != text {
		return fmt.Errorf("got %q for %q", m.Value, text)
	}
	return nil
}

func TestGRPCEcho(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		serve(t, b)
		s, err := open(t.Context(), client(t, a, b))
		ok(t, err)
		ok(t, exchange(s, "hello"))
		took(t, 1000*2*latency, func() {
			for i := range 1000 {
				ok(t, exchange(s, fmt.Sprint(i)))
			}
		})
		ok(t, s.CloseSend())
		if err := s.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF {
			t.Errorf("the end: %v", err)
		}
	})
}

func TestGRPCReconnectsAfterKillAndRestart(t *testing.T) {
	bubble(t, func(t *testing.T, _ *simnet.Net, a, b *simnet.Host) {
		old := serve(t, b)
		cc := client(t, a, b)
		s, err := open(t.Context(), cc)
		ok(t, err)
		ok(t, exchange(s, "before"))
		b.Kill()
		took(t, latency, func() {
			if err := s.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Unavailable {
				t.Errorf("after the kill: %v", err)
			}
		})
		old.Stop()
		time.Sleep(5 * time.Second)
		b.Restart()
		serve(t, b)
		s, err = open(within(t, 3*time.Second), cc)
		ok(t, err)
		ok(t, exchange(s, "after"))
	})
}

func TestGRPCStreamOutlivesAPartition(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Net, a, b *simnet.Host) {
		serve(t, b)
		s, err := open(t.Context(), client(t, a, b))
		ok(t, err)
		ok(t, exchange(s, "before"))
		n.Cut(a, b)
		time.AfterFunc(time.Minute, n.HealAll)
		took(t, time.Minute+2*latency, func() { ok(t, exchange(s, "meanwhile")) })
	})
}

// Everything at once, as a check that nothing is left over: nodes that gossip, a
// server on each host, and a stream between neighbours, through all faults.
func TestAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fiveMembers(t)
		var answered [5]int
		for i, h := range m.hosts {
			serve(t, h)
			cc := client(t, h, m.hosts[(i+1)%5])
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { talk(ctx, cc, &answered[i]) })
			t.Cleanup(func() { cancel(); wg.Wait() })
		}
		time.Sleep(time.Second)
		m.net.Partition(m.hosts[:2], m.hosts[2:])
		time.Sleep(time.Second)
		m.hosts[3].Crash()
		time.Sleep(time.Second)
		m.net.HealAll()
		m.hosts[1].Kill()
		time.Sleep(time.Second)
		m.hosts[3].Restart()
		time.Sleep(time.Second)
		synctest.Wait()
		for i, want := range []int{500, 150, 350, 350, 500} { // of 190 a second, see the faults
			if answered[i] < want {
				t.Errorf("host %d had %d answers, want %d", i, answered[i], want)
			}
		}
	})
}

// talk asks every 5 ms, on a new stream every 500 ms or when the last one failed.
func talk(ctx context.Context, cc *grpc.ClientConn, answered *int) {
	for ctx.Err() == nil {
		try, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		s, err := open(try, cc)
		for err == nil {
			if err = exchange(s, "x"); err == nil {
				*answered++
				time.Sleep(5 * time.Millisecond)
			}
		}
		stop()
	}
}
