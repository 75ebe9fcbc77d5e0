package transport

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// witness notes in what something panicked.
type witness struct {
	mu    sync.Mutex
	where []string
}

func (w *witness) Panicked(where string, p any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p == nil {
		where += " of nothing"
	}
	w.where = append(w.where, where)
}

// want wants so many panics, in that alone.
func (w *witness) want(t *testing.T, times int, where string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.where {
		if seen != where {
			t.Errorf("a panic in %s", seen)
		}
	}
	if len(w.where) != times {
		t.Errorf("%d panics in %s, want %d", len(w.where), where, times)
	}
}

// watched is a still peer with a witness.
func watched() (*Peer, *witness) {
	p, w := still(), new(witness)
	p.config.Panicked = w.Panicked
	return p, w
}

// wantEnd wants the call to have ended, with an error or without.
func (c *Call) wantEnd(t *testing.T, want error) {
	t.Helper()
	select {
	case <-c.done:
	default:
		t.Fatal("nobody ends the call")
	}
	if !errors.Is(c.err, want) {
		t.Errorf("ended with %v, want %v", c.err, want)
	}
	if len(c.done) > 0 {
		t.Error("woken twice")
	}
}

// A panic while a frame is put together, written or sent ends its calls at once, is
// told, and leaves no mutex locked, which would end the process. The next frame goes out.
func TestAPanicWhileSending(t *testing.T) {
	for _, tt := range []struct {
		where string
		shake func(p *Peer, l *link, c *Call) // before c leaves
		cut   bool
	}{
		{where: "filling a frame", shake: func(_ *Peer, _ *link, c *Call) { c.Hit.Rule = nil }},
		{where: "writing a frame", shake: func(p *Peer, _ *link, _ *Call) {
			b, now := new(batch), p.config.Now
			p.spare = append(p.spare, b)
			p.config.Now = func() int64 {
				if len(b.calls) > 0 {
					b.bytes, p.config.Now = 0, now // so the buffer is too short
				}
				return now()
			}
		}},
		{where: "sending a frame", cut: true, shake: func(_ *Peer, l *link, _ *Call) {
			answer := l.owner
			l.owner = func(l *link, _ []byte) {
				l.owner = answer
				panic("send")
			}
		}},
	} {
		t.Run(tt.where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := watched()
				l := newLink(t, (*link).answer)
				calls := []*Call{p.mustPut(t, 1, time.Hour), p.mustPut(t, 1, time.Hour), p.mustPut(t, 2, time.Hour)}
				tt.shake(p, l, calls[2])
				p.on(l)
				for _, c := range calls {
					c.wantEnd(t, ErrPanic)
				}
				w.want(t, 1, tt.where)
				if gone := isClosed(l.gone); gone != tt.cut {
					t.Errorf("the stream has ended: %v, want %v", gone, tt.cut)
				}
				if tt.cut {
					p.broken()
					l = newLink(t, (*link).answer)
					p.on(l)
				}
				next := p.mustPut(t, 3, time.Hour)
				go func() { _ = p.receive(l) }()
				synctest.Wait()
				next.wantEnd(t, nil)
				p.wantIdle(t)
				l.cut()
			})
		})
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A panic at one of a reply's verdicts ends the calls that are left.
func TestAPanicWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for broken := range 4 {
			p, w := watched()
			var answer []byte
			l := newLink(t, func(l *link, frame []byte) { answer = l.reply(frame) })
			calls := []*Call{p.mustPut(t, 2, time.Hour), p.mustPut(t, 4, time.Hour), p.mustPut(t, 4, time.Hour), p.mustPut(t, 6, time.Hour)}
			p.on(l)
			for i := range 3 {
				record(answer, i)[verdictBytes-1] = 1 // of a receipt, which is read by the rule
			}
			calls[broken].Hit.Rule = nil
			if broken == 0 {
				calls[3].fail(ErrDeadline) // it has ended already
			}
			p.survives("reading", func() { _ = p.answered(answer) })
			for i, c := range calls {
				switch {
				case broken == 0 && i == 3:
					c.wantEnd(t, ErrDeadline)
				case i < broken:
					c.wantEnd(t, nil)
				default:
					c.wantEnd(t, ErrPanic)
				}
			}
			w.want(t, 1, "reading")
			l.cut()
		}
	})
}

// The peer's goroutines begin anew after a panic: calls end in time, and a stream is
// there again.
func TestAPeersGoroutinesBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := watched()
		ctx, cancel := context.WithCancel(t.Context())
		now, left := p.config.Now, 3
		p.tend(ctx, "sweeping", func(ctx context.Context) {
			if left--; left >= 0 {
				panic("sweep")
			}
			p.sweep(ctx)
		})
		defer p.wg.Wait()
		defer cancel()
		c, err := p.put(hit(1), 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		<-c.done
		if at := time.Duration(now()); c.err != ErrDeadline || at != 3*againTime {
			t.Errorf("%v after %v", c.err, at)
		}
		w.want(t, 3, "sweeping")
	})
}
