package transport

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// held is a peer on a link whose owner answers when the test says so.
type held struct {
	*Peer
	*testing.T
	link   *link
	frames chan []byte
	jump   atomic.Int64 // what the clock is ahead
}

// hold runs f with a peer whose stream is established, its first heartbeat answered.
func hold(t *testing.T, f func(h *held)) {
	synctest.Test(t, func(t *testing.T) {
		h := &held{Peer: still(), T: t, frames: make(chan []byte, 1000)}
		now := h.config.Now
		h.config.Now = func() int64 { return now() + h.jump.Load() }
		h.swept(t)
		h.link = newLink(t, func(_ *link, frame []byte) { h.frames <- frame })
		var reader sync.WaitGroup
		reader.Go(func() { h.follow(h.link) })
		synctest.Wait()
		defer reader.Wait()
		defer h.link.cut()
		f(h)
	})
}

// at waits until d on the peer's clock, and whatever happens then has happened.
func (h *held) at(d time.Duration) {
	time.Sleep(d - time.Duration(h.config.Now()))
	synctest.Wait()
}

// answerNext answers the oldest frame that is unanswered.
func (h *held) answerNext() {
	h.link.answer(<-h.frames)
	synctest.Wait()
}

// want wants to know whether hits are taken, and whether the peer counts as alive.
func (h *held) want(takes, alive bool) {
	h.Helper()
	_, err := h.put(hit(1), time.Hour)
	if (err == nil) != takes || err != nil && err != ErrUnavailable || h.Alive() != alive {
		h.Errorf("at %v: a hit is taken: %v, alive: %v; want %v, %v", time.Duration(h.config.Now()), err, h.Alive(), takes, alive)
	}
}

func TestSilenceFailsHits(t *testing.T) {
	hold(t, func(h *held) {
		h.link.deaf.Store(true)
		h.want(true, true) // a frame on its way
		sent := len(h.frames)
		queued, _ := h.put(hit(2), time.Hour)
		h.at(100*ms - 1)
		if sent != 1 || len(h.frames) != 1 || queued.ended.Load() {
			t.Fatalf("%d frames, queued ended: %v", len(h.frames), queued.ended.Load())
		}
		h.at(100 * ms)
		wantEnded(t, []*Call{queued}, ErrUnavailable)
		if queued.number != 0 {
			t.Errorf("a hit that wasn't sent has number %d", queued.number)
		}
		h.want(false, true)
		h.at(300 * ms)
		h.want(false, true)
		h.at(300*ms + 1)
		h.want(false, false)
		h.answerNext()
		h.want(true, true)
		h.answerNext()
		h.link.replies <- *sighting(Sight{}).out
		h.link.deaf.Store(false)
		h.at(5 * time.Second)
		h.want(true, true)
		h.answerNext()
		h.wantIdle(h.T)
	})
}

// The heartbeat of an idle stream finds out before any hit does, and its answer
// lets hits flow again.
func TestBeatProbes(t *testing.T) {
	hold(t, func(h *held) {
		h.at(400 * ms)
		h.link.deaf.Store(true)
		h.at(600*ms - 1)
		h.want(true, true)
		h.answerNext() // hears of it
		h.at(700*ms - 1)
		h.want(false, true)
		h.at(900 * ms)
		h.want(false, false)
		h.link.replies <- *sighting(Sight{}).out
		synctest.Wait()
		h.want(true, true)
	})
}

// A peer that is late with each answer, but says something all the time, isn't
// silent.
func TestSlowIsNotSilent(t *testing.T) {
	hold(t, func(h *held) {
		for range 10 * company {
			h.want(true, true)
		}
		for i := range 10 {
			h.at(time.Duration(i+1) * 80 * ms)
			h.want(true, true)
			h.answerNext()
		}
	})
}

// Silence is the configured one, and 0 is 100 ms.
func TestSilenceOfConfig(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 100 * ms, -1: 100 * ms, time.Second: time.Second} {
		p := newPeer(PeerConfig{Silence: given, Now: func() int64 { return 0 }})
		if got := time.Duration(p.silence); got != want {
			t.Errorf("Silence %v is %v, want %v", given, got, want)
		}
	}
}

// Where this process didn't run for a while, the peer gets its time to answer.
func TestOwnStandstillIsNoSilence(t *testing.T) {
	hold(t, func(h *held) {
		h.want(true, true)
		h.jump.Store(int64(time.Minute))
		h.at(time.Minute + 150*ms)
		h.want(true, true)
		h.at(time.Minute + 201*ms)
		h.want(false, true)
	})
}

// A stream that stays silent is given up after 2 s, and not before.
func TestSilentStreamIsGivenUp(t *testing.T) {
	for _, hits := range []bool{true, false} {
		hold(t, func(h *held) {
			want := 2500 * ms // after the heartbeat at 500 ms
			h.link.deaf.Store(true)
			if hits {
				want = 2 * time.Second
				h.want(true, true)
			}
			h.at(want - 1)
			select {
			case <-h.link.gone:
				t.Errorf("hits %v: given up before %v", hits, want)
			default:
			}
			h.at(want)
			select {
			case <-h.link.gone:
			default:
				t.Errorf("hits %v: not given up at %v", hits, want)
			}
			h.want(false, false) // while nobody has connected again
			next := newLink(t, (*link).answer)
			go h.follow(next)
			synctest.Wait()
			h.want(true, true)
			synctest.Wait()
			h.wantIdle(h.T)
			next.cut()
		})
	}
}

// However much was sent to a process that is stopped: heartbeats and hits don't
// wait for it, and neither does the next attempt to connect.
func TestBeatsOfAStoppedOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		p, stop := stoppable(t, func(c *PeerConfig) {
			dial := c.Dial
			c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
				dials.Add(1)
				return dial(ctx, address)
			}
		})
		stop()
		began := p.config.Now()
		for i := range maxQueue {
			if _, err := p.put(hit(i), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		for p.config.Now()-began < int64(2*time.Second) {
			synctest.Wait()
			p.mu.Lock()
			if p.sending || p.unanswered > quota {
				t.Fatalf("after %v: sending %v, %d bytes unanswered", time.Duration(p.config.Now()-began), p.sending, p.unanswered)
			}
			p.mu.Unlock()
			before := p.config.Now()
			_, _ = p.put(hit(1), time.Hour)
			if after := p.config.Now(); after != before {
				t.Fatalf("a caller was kept for %v", time.Duration(after-before))
			}
			time.Sleep(10 * ms)
		}
		time.Sleep(100 * ms)
		if n := dials.Load(); n != 2 || p.Alive() {
			t.Errorf("dialled %d times, alive %v", n, p.Alive())
		}
	})
}
