package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// shaky is an owner that panics at its first hit and its first call.
type shaky struct {
	echo
	once, twice sync.Once

	mu    sync.Mutex
	where []string
}

func (s *shaky) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	s.once.Do(func() { panic("hit") })
	s.echo.Decide(h, now, a)
}

func (s *shaky) Call(context.Context, uint64, uint8, []byte) (answer []byte, err error) {
	s.twice.Do(func() { panic("call") })
	return []byte("well"), nil
}

func (s *shaky) Panicked(where string, p any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.where = append(s.where, where+": "+p.(string))
}

// A panic of the handler ends the stream or the call alone, and the handler is told.
// What was in flight comes again on the next stream.
func TestAHandlerThatPanics(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shaky{echo: echo{w: w}}
		w.serve(s, hello)
		p := w.dial()
		time.Sleep(2 * time.Second) // a stream that breaks soon is not to be trusted
		if err := w.askBy(p, 2, w.now()+int64(time.Second)); err != nil {
			w.Error(err)
		}
		if _, err := p.Call(w.Context(), 1, nil); err == nil || !strings.Contains(err.Error(), "a mistake in this replica: call") {
			w.Errorf("%v", err)
		}
		if answer, err := p.Call(w.Context(), 1, nil); string(answer) != "well" || err != nil {
			w.Errorf("%q, %v", answer, err)
		}
		want := []string{"answering a peer's hits: hit", "answering a peer's call: call"}
		if !slices.Equal(s.where, want) {
			w.Errorf("%q, want %q", s.where, want)
		}
	})
}

// A peer whose clock panics for a while goes on afterwards, and has told of it.
func TestAClockThatPanics(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		var mu sync.Mutex
		var where []string
		broken := int64(500 * time.Millisecond)
		p := w.dial(func(c *transport.PeerConfig) {
			c.Now = func() int64 {
				if now := w.now(); now < broken || now > int64(time.Second) {
					return now
				}
				panic("clock")
			}
			c.Panicked = func(in string, p any) {
				mu.Lock()
				defer mu.Unlock()
				where = append(where, in)
			}
		})
		if err := w.askBy(p, 2, broken); err != nil {
			w.Error(err)
		}
		time.Sleep(1500 * time.Millisecond)
		if err := w.askBy(p, 2, w.now()+int64(time.Second)); err != nil {
			w.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(where) == 0 {
			w.Error("nobody was told")
		}
	})
}

// loud is a log handler that panics.
type loud struct{ slog.Handler }

func (loud) Handle(context.Context, slog.Record) error { panic("log") }

// A peer whose goroutine panics again and again while it connects answers by the
// deadline all the same: the sweeper isn't left asleep.
func TestDeadlinesWhileConnectingPanics(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.dial(func(c *transport.PeerConfig) {
			c.Dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody") }
			c.Log = slog.New(loud{slog.NewTextHandler(io.Discard, nil)})
			c.Panicked = func(string, any) {}
		})
		time.Sleep(50 * time.Millisecond) // it has panicked
		ended := make(chan error, 1)
		go func() {
			_, err := ask(p, hit(1), w.now()+int64(100*time.Millisecond))
			ended <- err
		}()
		time.Sleep(150 * time.Millisecond)
		select {
		case err := <-ended:
			if !errors.Is(err, transport.ErrDeadline) {
				w.Errorf("ended with %v", err)
			}
		default:
			w.Error("the hit has no answer though its time is over")
		}
	})
}
