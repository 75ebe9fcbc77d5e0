package transport_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// connects waits until the peer is connected, and wants that within d.
func (w *world) connects(p *transport.Peer, d time.Duration) {
	w.Helper()
	for began := time.Now(); !p.Condition().Connected; time.Sleep(100 * time.Microsecond) {
		if took := time.Since(began); took > d {
			w.Fatalf("not connected after %v", took)
		}
	}
}

func TestHitsWaitForTheFirstConnection(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		const dialing = 300 * time.Millisecond
		peer := w.dial(dialSlowly(dialing))
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { w.took(dialing, 10*roundTrip, func() { w.ask(peer, i) }) })
		}
		wg.Go(func() { w.wantDeadline(peer, 100, w.now()+int64(dialing/2)) })
		wg.Wait()
	})
}

func TestRefusedConnection(t *testing.T) {
	bubble(t, func(w *world) {
		var log logbook
		peer := w.dial(logTo(&log, slog.LevelDebug))
		w.took(0, roundTrip, func() { w.ask(peer, 1, transport.ErrUnavailable) })
		for range 100 {
			w.took(0, 0, func() {
				if w.ask(peer, 2, transport.ErrUnavailable) == nil {
					t.Error("answered by nobody")
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		attempts := strings.Count(log.String(), "\n")
		if dials := int(w.dials.Load()); attempts < 8 || attempts > 25 || dials != attempts {
			t.Errorf("%d attempts and %d dials in 10 s", attempts, dials)
		}
		w.serve(&echo{w: w}, hello)
		w.connects(peer, 1500*time.Millisecond+10*roundTrip)
		w.ask(peer, 3)
	})
}

// Where nothing answers at all, hits wait for their deadline while the first
// attempt lasts, and fail at once afterwards.
func TestNobodyThere(t *testing.T) {
	bubble(t, func(w *world) {
		w.owner.Crash()
		peer := w.dial()
		w.wantDeadline(peer, 1, w.now()+int64(50*time.Millisecond))
		w.ask(peer, 2, transport.ErrUnavailable)
		w.took(0, 0, func() { w.ask(peer, 3, transport.ErrUnavailable) })
		time.Sleep(time.Minute)
		if n := w.dials.Load(); n < 20 || n > 45 { // each lasts a second, and so does the pause
			t.Errorf("%d attempts in a minute", n)
		}
		w.owner.Restart()
		w.serve(&echo{w: w}, hello)
		w.connects(peer, 2500*time.Millisecond+10*roundTrip)
		w.ask(peer, 4)
	})
}

// What was sent when the stream breaks is sent again; what comes while the peer
// connects again waits.
func TestBrokenStream(t *testing.T) {
	bubble(t, func(w *world) {
		server := w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 0)
		time.Sleep(10 * time.Second)

		w.net.SetLatency(20 * time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() {
			w.took(100*time.Millisecond, 100*time.Millisecond, func() { w.ask(peer, 1) })
		})
		synctest.Wait() // it is sent, and these wait behind it
		for i := range 50 {
			wg.Go(func() { w.took(100*time.Millisecond, 150*time.Millisecond, func() { w.ask(peer, 2+i) }) })
		}
		synctest.Wait()
		server.Close()
		w.serve(&echo{w: w}, hello)
		wg.Go(func() {
			time.Sleep(30 * time.Millisecond) // the asker knows, and connects again
			w.ask(peer, 60)
		})
		wg.Wait()
		if n := w.dials.Load(); n != 2 {
			t.Errorf("%d attempts, want the first and one after the break", n)
		}
	})
}

func TestKilledOwner(t *testing.T) {
	bubble(t, func(w *world) {
		server := w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 0)
		w.owner.Kill()
		server.Close()
		time.Sleep(time.Second)
		w.took(0, 0, func() { w.ask(peer, 1, transport.ErrUnavailable) })
		w.owner.Restart()
		w.serve(&echo{w: w}, hello)
		w.connects(peer, 1500*time.Millisecond+10*roundTrip)
		w.ask(peer, 2)
	})
}

// A machine that vanishes says nothing. The connection is given up, and made anew
// when the machine is back.
func TestCrashedOwner(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 0)
		w.owner.Crash()
		w.wantDeadline(peer, 1, w.now()+int64(50*time.Millisecond))
		time.Sleep(20 * time.Second)
		w.took(0, 0, func() { w.ask(peer, 2, transport.ErrUnavailable) })
		w.owner.Restart()
		w.serve(&echo{w: w}, hello)
		w.connects(peer, 2500*time.Millisecond+10*roundTrip)
		w.ask(peer, 3)
	})
}

// Hits that may have been decided fail as unavailable; ErrClosed says that they
// weren't.
func TestClose(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		connected, unconnected := w.dial(), w.dial(dialSlowly(time.Hour))
		w.ask(connected, 0)
		w.net.Cut(w.asker, w.owner)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if w.ask(connected, i, transport.ErrUnavailable, transport.ErrClosed) == nil {
					t.Errorf("hit %d was answered", i)
				}
			})
			wg.Go(func() {
				if w.ask(unconnected, i, transport.ErrClosed) == nil {
					t.Errorf("hit %d was answered", i)
				}
			})
		}
		synctest.Wait()
		w.took(0, 0, func() {
			connected.Close()
			unconnected.Close()
			wg.Wait()
		})
		for _, p := range []*transport.Peer{connected, unconnected} {
			w.took(0, 0, func() { w.ask(p, 1, transport.ErrClosed) })
			if p.Condition().Connected {
				t.Error("closed, and connected")
			}
			p.Close() // again
		}
	})
}

func TestCloseWhileAsking(t *testing.T) {
	for range 10 {
		bubble(t, func(w *world) {
			w.serve(&echo{w: w}, hello)
			peer := w.dial()
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					for !errors.Is(w.ask(peer, i, transport.ErrClosed, transport.ErrUnavailable), transport.ErrClosed) {
					}
				})
			}
			time.Sleep(20 * roundTrip)
			peer.Close()
			peer.Close()
			wg.Wait()
		})
	}
}

func TestCloseServerWithOpenStreams(t *testing.T) {
	bubble(t, func(w *world) {
		l, err := w.owner.Listen(":7947")
		if err != nil {
			t.Fatal(err)
		}
		server := transport.NewServer(&echo{w: w}, hello, nil)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		a, b := w.dial(from(1)), w.dial(from(3))
		w.ask(a, 1)
		w.ask(b, 2)
		w.took(0, 0, server.Close)
		server.Close() // again
		if again := server.Serve(l); again != nil || <-served != nil {
			t.Error("Serve returned an error after Close")
		}
		time.Sleep(roundTrip)
		w.ask(a, 3, transport.ErrUnavailable)
		w.ask(b, 4, transport.ErrUnavailable)
	})
}

// Close waits until a hit that is being decided is decided.
func TestCloseServerWhileDeciding(t *testing.T) {
	bubble(t, func(w *world) {
		owner := &slow{echo: echo{w: w}, took: time.Second}
		server := w.serve(owner, hello)
		peer := w.dial()
		var wg sync.WaitGroup
		wg.Go(func() { w.ask(peer, 1, transport.ErrUnavailable) })
		time.Sleep(500 * time.Millisecond)
		server.Close()
		if n := owner.decided.Load(); n != 1 {
			t.Errorf("Close returned with %d hits decided, want 1", n)
		}
		wg.Wait()
	})
}

type slow struct {
	echo
	took time.Duration
}

func (s *slow) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	time.Sleep(s.took)
	s.echo.Decide(h, now, a)
}
