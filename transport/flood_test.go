package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"
)

// stopped is a connection to a process that can be stopped: then no Write
// returns any more, as if every buffer on the way were full, until Close.
type stopped struct {
	net.Conn
	stop   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (c *stopped) Write(b []byte) (int, error) {
	select {
	case <-c.stop:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return c.Conn.Write(b)
	}
}

func (c *stopped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// stoppable starts a server and connects a peer to it. stop makes the
// connection accept nothing more.
func stoppable(t *testing.T, changes ...func(*PeerConfig)) (p *Peer, stop func()) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := NewServer(mute{}, Hello{Boot: 2}, nil)
	go s.Serve(l)
	stopping := make(chan struct{})
	began := time.Now()
	c := PeerConfig{
		Address: "owner",
		Hello:   Hello{Boot: 1},
		Now:     func() int64 { return int64(time.Since(began)) },
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := l.DialContext(ctx)
			return &stopped{Conn: c, stop: stopping, closed: make(chan struct{})}, err
		},
	}
	for _, change := range changes {
		change(&c)
	}
	p = Dial(c)
	t.Cleanup(func() {
		p.Close()
		s.Close()
		time.Sleep(time.Minute)
	})
	if _, err := ask(p, hit(0), int64(time.Second)); err != nil {
		t.Fatal(err)
	}
	return p, func() { close(stopping) }
}

// Nothing that is sent is read. The callers of a flood all have their answer by
// their deadlines, as SendMsg takes what the peer sends without waiting.
func TestFloodOfAStoppedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := stoppable(t)
		stop()
		const callers, hits = 50, 400
		var mu sync.Mutex
		ended := map[error]int{}
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				var calls []*Call
				for n := range hits {
					began := p.config.Now()
					c, err := p.put(hit(caller*hits+n), 50*ms)
					if p.config.Now() != began {
						t.Errorf("a caller was kept for %v", time.Duration(p.config.Now()-began))
					}
					if err == nil {
						calls = append(calls, c)
						continue
					}
					mu.Lock()
					ended[err]++
					mu.Unlock()
				}
				for _, c := range calls {
					<-c.done
					if now := p.config.Now(); now > c.expire || now < c.expire-int64(2*ms) {
						t.Errorf("returned %v after the deadline", time.Duration(now-c.expire))
					}
					mu.Lock()
					ended[c.err]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if ended[ErrDeadline] < maxQueue || ended[ErrFull] < 5000 || ended[ErrDeadline]+ended[ErrFull] != callers*hits {
			t.Errorf("ended: %v", ended)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.unanswered == 0 || p.unanswered > quota {
			t.Errorf("%d bytes unanswered, want at most %d", p.unanswered, quota)
		}
	})
}

// Callers that ask again and again, more of them than a frame takes.
func TestManyCallersOfAStoppedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := stoppable(t)
		stop()
		var wg sync.WaitGroup
		for caller := range 4000 {
			wg.Go(func() {
				for n := range 3 {
					if askEcho(t, p, hit(caller*10+n), 50*ms, ErrDeadline, ErrFull, ErrUnavailable) == nil {
						t.Error("answered")
					}
				}
			})
		}
		wg.Wait()
	})
}

// The quota is gRPC's: a stream takes 60 KiB in frames of any size without
// waiting for the other end, and doesn't take three times as much.
func TestWriteQuotaOfGRPC(t *testing.T) {
	for _, size := range []int{100, 1000, 4000, quota / 2, quota} {
		t.Run(fmt.Sprint("frames of ", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, stop := stoppable(t)
				p.mu.Lock()
				stream := p.stream
				p.mu.Unlock()
				stop()
				send := func(size int) {
					f := plainFrame(size)
					clear(*f.out)
					_ = stream.SendMsg(f)
				}
				send(1) // gRPC's writer now waits in Write, and takes no more
				synctest.Wait()
				var sent int
				go func() {
					for sent+size <= 3*quota {
						send(size)
						sent += size
					}
				}()
				synctest.Wait()
				if sent <= quota-size {
					t.Errorf("SendMsg blocks after %d bytes, the quota is %d", sent, quota)
				}
				if sent == 3*quota/size*size {
					t.Errorf("SendMsg takes %d bytes without blocking: the test can't see what it is for", sent)
				}
			})
		})
	}
}

// gRPC takes 5 s to close a connection that accepts nothing. No caller waits for
// that: not those who have asked, and not those who ask meanwhile.
func TestCloseOfAStoppedOwnersPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := stoppable(t)
		stop()
		var calls []*Call
		for i := range 2000 {
			c, err := p.put(hit(i), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, c)
		}
		synctest.Wait()
		var closing sync.WaitGroup
		closing.Go(p.Close)
		synctest.Wait()
		if err := askEcho(t, p, hit(1), 50*ms, ErrClosed); err == nil {
			t.Error("answered")
		}
		var unavailable, closed int
		for i, c := range calls {
			switch {
			case !c.ended.Load():
				t.Fatalf("call %d of %d still waits", i, len(calls))
			case c.err == ErrUnavailable: // it was sent
				unavailable++
			case c.err == ErrClosed:
				closed++
			}
		}
		if unavailable == 0 || closed == 0 || unavailable+closed != len(calls) {
			t.Errorf("%d unavailable, %d closed of %d", unavailable, closed, len(calls))
		}
		closing.Wait()
		p.wantIdle(t)
	})
}
