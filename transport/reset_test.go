package transport_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/transport"
)

// resettable notes the connection that was made last, which reset closes.
func resettable(last *atomic.Value) func(*transport.PeerConfig) {
	return func(c *transport.PeerConfig) {
		dial := c.Dial
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := dial(ctx, address)
			if err == nil {
				last.Store(conn)
			}
			return conn, err
		}
	}
}

// wantAll asks for n hits at a time, while meanwhile happens, and wants each to be
// answered and debited once.
func (w *world) wantAll(p *transport.Peer, owner *echo, n int, left time.Duration, meanwhile func()) {
	w.Helper()
	before := owner.decided.Load()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { w.askBy(p, i, w.now()+int64(left)) })
	}
	meanwhile()
	wg.Wait()
	if debits := owner.decided.Load() - before; debits != int64(n) {
		w.Errorf("%d hits were debited %d times", n, debits)
	}
}

// A connection is reset at any moment of a hit's way there and back: before the hit
// is there, and when it has been debited and the answer is lost.
func TestResetCostsNothing(t *testing.T) {
	const way = 20 * time.Millisecond
	for reset := time.Duration(0); reset < 2*way; reset += way / 4 {
		t.Run(fmt.Sprint("after ", reset), func(t *testing.T) {
			bubble(t, func(w *world) {
				owner := &echo{w: w}
				w.serve(owner, hello)
				var conn atomic.Value
				peer := w.dial(resettable(&conn))
				w.ask(peer, 0)
				time.Sleep(10 * time.Second)
				w.net.SetLatency(way)
				w.wantAll(peer, owner, 200, time.Second, func() {
					time.Sleep(reset)
					conn.Load().(net.Conn).Close()
				})
				if n := w.dials.Load(); n != 2 {
					t.Errorf("%d attempts to connect", n)
				}
			})
		})
	}
}

// A link is cut for so long that TCP would have fallen silent. The stream is made
// anew, and what was in flight is decided when the link is mended.
func TestCutCostsNothing(t *testing.T) {
	for _, oneWay := range []bool{false, true} {
		bubble(t, func(w *world) {
			owner := &echo{w: w}
			w.serve(owner, hello)
			peer := w.dial()
			w.ask(peer, 0)
			time.Sleep(10 * time.Second)
			w.wantAll(peer, owner, 1, 10*time.Second, func() {
				if oneWay { // the hit arrives, and its answer is held up
					w.net.CutOneWay(w.owner, w.asker)
				} else {
					w.net.Cut(w.asker, w.owner)
				}
				time.Sleep(150 * time.Millisecond)
				w.took(0, 0, func() { w.ask(peer, 1000, transport.ErrUnavailable) })
				if !peer.Alive() {
					w.Error("given up already")
				}
				time.Sleep(2350 * time.Millisecond)
				if n := w.dials.Load(); n != 2 || peer.Alive() {
					w.Errorf("dialled %d times, alive %v", n, peer.Alive())
				}
				w.net.HealAll()
			})
			w.took(roundTrip, 0, func() { w.ask(peer, 1) })
		})
	}
}

// The number comes with an error too, if the hit may have been debited.
func TestNumberOfAHitThatFails(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 0)
		w.net.Cut(w.asker, w.owner)
		var wg sync.WaitGroup
		wg.Go(func() {
			a, err := ask(peer, hit(1), w.now()+int64(50*time.Millisecond))
			if err != transport.ErrDeadline || a.Number == 0 {
				w.Errorf("sent: number %d, %v", a.Number, err)
			}
		})
		time.Sleep(time.Millisecond)
		wg.Go(func() {
			a, err := ask(peer, hit(2), w.now()+int64(40*time.Millisecond))
			if err != transport.ErrDeadline || a.Number != 0 {
				w.Errorf("queued behind it: number %d, %v", a.Number, err)
			}
		})
		wg.Wait()
	})
}
