package transport_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// The link to the owner is cut. Every caller gets its answer at its own
// deadline. When the link is mended, what was on its way arrives there, too late
// to be decided, and the next hit is answered at once.
func TestSilentOwner(t *testing.T) {
	for _, callers := range []int{1, 64, 1024, 4000} {
		t.Run(fmt.Sprint("callers=", callers), func(t *testing.T) {
			bubble(t, func(w *world) {
				owner := &echo{w: w}
				w.serve(owner, hello)
				peer := w.dial(silence(time.Second))
				w.ask(peer, 0)
				w.net.Cut(w.asker, w.owner)

				var wg sync.WaitGroup
				for i := range callers {
					rng := rand.New(rand.NewPCG(4, uint64(i)))
					wg.Go(func() {
						time.Sleep(time.Duration(i%3) * 5 * time.Millisecond)
						left := 50 * time.Millisecond
						if i%2 == 1 {
							left = time.Duration(rng.IntN(20)) * 5 * time.Millisecond
						}
						if callers < 1000 { // else -race takes long over so many sweeps
							left += time.Duration(rng.IntN(int(5 * time.Millisecond)))
						}
						w.wantDeadline(peer, i, w.now()+int64(left))
					})
				}
				wg.Wait()

				time.Sleep(2 * time.Millisecond) // calls end a little early
				w.net.HealAll()
				w.took(roundTrip, 2*roundTrip, func() { w.ask(peer, 1) })
				if n := owner.decided.Load(); n != 2 {
					w.Errorf("%d hits were decided, want the 2 that were answered", n)
				}
			})
		})
	}
}

// wantDeadline asks, and wants ErrDeadline between 2 ms before expire and
// expire, or at once if that is over.
func (w *world) wantDeadline(p *transport.Peer, i int, expire int64) {
	w.Helper()
	began := w.now()
	if err := w.askBy(p, i, expire, transport.ErrDeadline); err == nil {
		w.Errorf("hit %d was answered", i)
	}
	if now := w.now(); now < max(began, expire-int64(2*time.Millisecond)) || now > max(began, expire) {
		w.Errorf("hit %d returned %v after its deadline", i, time.Duration(now-expire))
	}
}

func TestDeadlineOver(t *testing.T) {
	bubble(t, func(w *world) {
		owner := &echo{w: w}
		w.serve(owner, hello)
		peer := w.dial()
		w.ask(peer, 0)
		w.wantDeadline(peer, 1, w.now())
		w.wantDeadline(peer, 2, w.now()-int64(time.Hour))
		time.Sleep(time.Second)
		if n := owner.decided.Load(); n != 1 {
			w.Errorf("%d hits were decided, want 1", n)
		}
	})
}

// The way takes about as long as callers wait, so many answers come when their
// callers have gone and others, who use the same memory, have come.
func TestLateAnswersGoToNobody(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 0)
		var answered, expired atomic.Int64
		var wg sync.WaitGroup
		for caller := range 64 {
			rng := rand.New(rand.NewPCG(5, uint64(caller)))
			wg.Go(func() {
				for n := range 50 {
					expire := w.now() + rng.Int64N(int64(80*time.Millisecond))
					err := w.askBy(peer, 1000*caller+n, expire, transport.ErrDeadline)
					if errors.Is(err, transport.ErrDeadline) {
						expired.Add(1)
					} else {
						answered.Add(1)
					}
					if now := w.now(); now > expire {
						w.Errorf("returned %v late", time.Duration(now-expire))
					}
				}
			})
		}
		var over atomic.Bool
		go func() {
			rng := rand.New(rand.NewPCG(5, 1<<32))
			for !over.Load() {
				w.net.SetLatency(time.Duration(10+rng.IntN(20)) * time.Millisecond)
				time.Sleep(20 * time.Millisecond)
			}
		}()
		wg.Wait()
		over.Store(true)
		if answered.Load() < 500 || expired.Load() < 500 {
			w.Errorf("%d answered, %d expired: not much of a test", answered.Load(), expired.Load())
		}
	})
}

// With a deadline that is never over, nothing is.
func TestNoDeadline(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.askBy(peer, 1, 1<<63-1)
	})
}
