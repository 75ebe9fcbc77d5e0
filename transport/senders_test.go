package transport

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// serving lets peers connect to the server.
func serving(s *Server) *bufconn.Listener {
	l := bufconn.Listen(1 << 16)
	go s.Serve(l)
	return l
}

func TestSendersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s senders
		known := func(want ...uint64) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			ok := len(s.known) == len(want)
			for _, boot := range want {
				ok = ok && s.known[boot] != nil
			}
			if !ok {
				t.Errorf("%d senders are known, want %v", len(s.known), want)
			}
		}
		a, b := s.join(1), s.join(2)
		if s.join(1) != a || a == b {
			t.Error("streams of a boot don't share their sender")
		}
		s.leave(1, a)
		s.leave(2, b)
		time.Sleep(memoryTime - 1)
		known(1, 2)
		time.Sleep(time.Nanosecond)
		known(1) // it has a stream still
		s.leave(1, a)
		time.Sleep(memoryTime - 1)
		if s.join(1) != a {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Hour)
		known(1)
		s.leave(1, a)
		time.Sleep(memoryTime)
		known()
		if s.join(1) == a {
			t.Error("remembered too long")
		}
		if memoryTime <= 10*time.Second {
			t.Error("a hit lives for up to 10 s")
		}
		s.close()
		known()
	})
}

// There is a bound on the senders. Those that are known are answered still.
func TestTooManySenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &till{}
		s := NewServer(c, Hello{Boot: 2}, nil)
		defer s.Close()
		for boot := range uint64(maxSenders) {
			if _, err := s.DecideOnce(boot+1, 1, hit(1), 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.DecideOnce(maxSenders+1, 1, hit(1), 0); !errors.Is(err, ErrForgotten) || c.total != maxSenders {
			t.Errorf("one too many: %v", err)
		}
		if _, err := s.DecideOnce(5, 2, hit(1), 0); err != nil {
			t.Errorf("a known one: %v", err)
		}
		p := unconnected(t).dialing(serving(s))
		p.config.Hello.Boot = maxSenders + 1
		if established, err := p.attempt(t.Context()); established || status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a stream of one too many: %v, %v", established, err)
		}
		time.Sleep(memoryTime)
		synctest.Wait()
		if _, err := s.DecideOnce(maxSenders+1, 1, hit(1), 0); err != nil {
			t.Errorf("when the others are forgotten: %v", err)
		}
	})
}
