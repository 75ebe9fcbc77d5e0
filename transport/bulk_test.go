package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// bulk is an owner that takes calls: it answers them by what answer does.
type bulk struct {
	echo
	answer func(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error)
}

func (b *bulk) Call(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error) {
	return b.answer(ctx, from, kind, payload)
}

func (w *world) serveCalls(answer func(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error)) *bulk {
	b := &bulk{echo{w: w}, answer}
	w.serve(b, hello)
	return b
}

func TestCallRoundTrip(t *testing.T) {
	bubble(t, func(w *world) {
		w.serveCalls(func(_ context.Context, from uint64, kind uint8, payload []byte) ([]byte, error) {
			if from != 0xb {
				w.Errorf("called by %x", from)
			}
			return append(payload, kind), nil
		})
		peer := w.dial(func(c *transport.PeerConfig) { c.Hello.Boot, c.Boot = 0xb, hello.Boot })
		for i, size := range []int{0, 1, 1000, 100_000, transport.MaxCall - 1} {
			payload := bytes.Repeat([]byte{byte(i), 0xee}, size)[:size]
			got, err := peer.Call(w.Context(), uint8(i), payload)
			if want := append(payload, byte(i)); err != nil || !bytes.Equal(got, want) {
				w.Errorf("%d bytes: answered %d, %v", size, len(got), err)
			}
		}
		if n := w.dials.Load(); n != 2 {
			w.Errorf("%d connections, want one for hits and one for calls", n)
		}
	})
}

func TestNoConnectionWithoutCalls(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		w.ask(w.dial(), 1)
		if n := w.dials.Load(); n != 1 {
			w.Errorf("%d connections", n)
		}
	})
}

func TestCallTooBig(t *testing.T) {
	bubble(t, func(w *world) {
		var called atomic.Int64
		w.serveCalls(func(_ context.Context, _ uint64, kind uint8, payload []byte) ([]byte, error) {
			called.Add(1)
			return make([]byte, len(payload)+int(kind)), nil
		})
		peer := w.dial()
		if _, err := peer.Call(w.Context(), 0, make([]byte, transport.MaxCall+1)); !errors.Is(err, transport.ErrTooBig) || called.Load() != 0 {
			w.Errorf("a byte too many: %v", err)
		}
		if got, err := peer.Call(w.Context(), 0, make([]byte, transport.MaxCall)); err != nil || len(got) != transport.MaxCall {
			w.Errorf("as many as may be: %d, %v", len(got), err)
		}
		if _, err := peer.Call(w.Context(), 1, make([]byte, transport.MaxCall)); err == nil || !strings.Contains(err.Error(), "too big") {
			w.Errorf("an answer of a byte too many: %v", err)
		}
	})
}

// The handler's error comes as its text, and as none of the package's errors,
// whatever it wraps.
func TestCallError(t *testing.T) {
	bubble(t, func(w *world) {
		w.serveCalls(func(context.Context, uint64, uint8, []byte) ([]byte, error) {
			return nil, fmt.Errorf("no such partition: %w", context.DeadlineExceeded)
		})
		_, err := w.dial().Call(w.Context(), 1, nil)
		if err == nil || !strings.Contains(err.Error(), "no such partition") ||
			errors.Is(err, transport.ErrDeadline) || errors.Is(err, transport.ErrUnavailable) {
			w.Errorf("error %v", err)
		}
	})
}

func TestCallDeadline(t *testing.T) {
	bubble(t, func(w *world) {
		var ended atomic.Int64
		w.serveCalls(func(ctx context.Context, _ uint64, _ uint8, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended.Add(1)
			return nil, ctx.Err()
		})
		peer := w.dial()
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.took(time.Second, 0, func() {
			if _, err := peer.Call(ctx, 1, nil); !errors.Is(err, transport.ErrDeadline) {
				w.Errorf("error %v", err)
			}
		})
		ctx, cancel = context.WithCancel(w.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := peer.Call(ctx, 1, nil); !errors.Is(err, context.Canceled) {
			w.Errorf("cancelled: %v", err)
		}
		time.Sleep(roundTrip)
		if n := ended.Load(); n != 2 {
			w.Errorf("%d handlers have heard of it", n)
		}
	})
}

func TestCallOfNobody(t *testing.T) {
	bubble(t, func(w *world) {
		peer := w.dial()
		w.took(0, 2*roundTrip, func() {
			if _, err := peer.Call(w.Context(), 1, nil); !errors.Is(err, transport.ErrUnavailable) {
				w.Errorf("error %v", err)
			}
		})
		w.serveCalls(func(context.Context, uint64, uint8, []byte) ([]byte, error) { return nil, nil })
		time.Sleep(2 * time.Second)
		if _, err := peer.Call(w.Context(), 1, nil); err != nil {
			w.Errorf("now that somebody is there: %v", err)
		}
	})
}

func TestCallAndClose(t *testing.T) {
	bubble(t, func(w *world) {
		w.serveCalls(func(ctx context.Context, _ uint64, _ uint8, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		peer := w.dial()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := peer.Call(w.Context(), 1, nil); !errors.Is(err, transport.ErrClosed) {
				w.Errorf("under way: %v", err)
			}
		})
		time.Sleep(time.Second)
		peer.Close()
		wg.Wait()
		if _, err := peer.Call(w.Context(), 1, nil); err != transport.ErrClosed {
			w.Errorf("afterwards: %v", err)
		}
	})
}

// A server that is closed tells the handlers of calls, and waits for them.
func TestCallWhenTheServerCloses(t *testing.T) {
	bubble(t, func(w *world) {
		var ended atomic.Bool
		server := w.serve(&bulk{echo{w: w}, func(ctx context.Context, _ uint64, _ uint8, _ []byte) ([]byte, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.Store(true)
			return nil, ctx.Err()
		}}, hello)
		peer := w.dial()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := peer.Call(w.Context(), 1, nil); !errors.Is(err, transport.ErrUnavailable) {
				w.Errorf("error %v", err)
			}
		})
		time.Sleep(time.Second)
		server.Close()
		if !ended.Load() {
			w.Error("closed before the handler had ended")
		}
		wg.Wait()
	})
}

// Neither many calls nor large ones nor slow ones keep a hit waiting.
func TestBulkDoesNotStallHits(t *testing.T) {
	bubble(t, func(w *world) {
		var under, most atomic.Int64
		w.serveCalls(func(_ context.Context, _ uint64, _ uint8, payload []byte) ([]byte, error) {
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer under.Add(-1)
			time.Sleep(100 * time.Millisecond)
			return payload, nil
		})
		peer := w.dial()
		w.ask(peer, 0)
		payload := make([]byte, transport.MaxCall/4)
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if got, err := peer.Call(w.Context(), 1, payload); err != nil || len(got) != len(payload) {
					w.Errorf("call: %d, %v", len(got), err)
				}
			})
		}
		synctest.Wait()
		for i := range 100 {
			w.took(roundTrip, 0, func() { w.ask(peer, i) })
		}
		wg.Wait()
		if n := most.Load(); n < 5 || n > 32 {
			w.Errorf("%d calls at a time", n)
		}
	})
}

// Another process at the address is not taken for the one that was meant.
func TestAnotherBoot(t *testing.T) {
	bubble(t, func(w *world) {
		owner := w.serveCalls(func(context.Context, uint64, uint8, []byte) ([]byte, error) {
			w.Error("called")
			return nil, nil
		})
		var log logbook
		peer := w.dial(logTo(&log, -8), func(c *transport.PeerConfig) { c.Boot = hello.Boot + 1 })
		w.ask(peer, 1, transport.ErrUnavailable)
		if _, err := peer.Call(w.Context(), 1, nil); !errors.Is(err, transport.ErrUnavailable) || !strings.Contains(err.Error(), "boot") {
			w.Errorf("call: %v", err)
		}
		if n := owner.decided.Load(); n != 0 || peer.Condition().Connected {
			w.Errorf("%d hits were decided", n)
		}
		if text := log.String(); !strings.Contains(text, "means boot") {
			w.Errorf("logged %s", text)
		}
	})
}
