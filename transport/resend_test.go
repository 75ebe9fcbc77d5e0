package transport

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// noted connects p to another link, whose frames are noted and not answered.
func noted(t *testing.T, p *Peer, boot string) (frames *[][]byte, l *link) {
	frames = new([][]byte)
	l = newLink(t, func(_ *link, frame []byte) { *frames = append(*frames, frame) })
	p.established(l, boot, l.cut)
	return frames, l
}

func (p *Peer) mustPut(t *testing.T, i int, left time.Duration) *Call {
	t.Helper()
	c, err := p.put(hit(i), left)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What was in flight goes out on the next stream as it was, but for the time that
// is left, before what waits. Frames for which nobody waits don't.
func TestFramesAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		sent, _ := noted(t, p, "owner")
		var calls []*Call
		put := func(n int, left time.Duration) {
			for range n {
				calls = append(calls, p.mustPut(t, len(calls), left))
			}
		}
		put(1, time.Second)
		put(company, 10*ms) // a frame of its own
		put(company/2, time.Second)
		put(company/2, 10*ms)
		put(3, time.Second) // they wait
		if len(*sent) != 3 {
			t.Fatalf("%d frames were sent", len(*sent))
		}
		time.Sleep(50 * ms)
		p.broken()
		again, l := noted(t, p, "owner")
		if len(*again) != 2 {
			t.Fatalf("%d frames were sent again, want the first and the third", len(*again))
		}
		for i, was := range [][]byte{(*sent)[0], (*sent)[2]} {
			old, oldHits, oldLeft := parsed(t, was)
			r, hits, left := parsed(t, (*again)[i])
			if r.first != old.first || len(hits) != len(oldHits) {
				t.Fatalf("%d hits from %d were sent again as %d from %d", len(oldHits), old.first, len(hits), r.first)
			}
			for j, h := range hits {
				want := max(oldLeft[j]-50*ms, 0)
				if h.Digest != oldHits[j].Digest || left[j] != want {
					t.Errorf("hit %d of frame %d has %v left, want %v", h.Digest.Lo, i, left[j], want)
				}
			}
		}
		for _, frame := range *again {
			if err := p.answered(l.reply(frame)); err != nil {
				t.Error(err)
			}
			p.mu.Lock()
			p.inFlight--
			p.pump()
			p.mu.Unlock()
		}
		if r, hits, _ := parsed(t, (*again)[len(*again)-1]); len(*again) != 3 || len(hits) != 3 || r.first != uint64(len(calls)-2) {
			t.Errorf("%d frames, the last with %d hits from %d", len(*again), len(hits), r.first)
		}
		for i, c := range calls[:len(calls)-3] {
			want := error(nil)
			if short := c.expire < int64(50*ms); short {
				want = ErrDeadline
			}
			if wantEnded(t, []*Call{c}, want); c.number != uint64(i+1) {
				t.Errorf("hit %d has number %d", i, c.number)
			}
		}
	})
}

// Frames are kept over any number of streams that break, in their order.
func TestFramesAreSentAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		first, _ := noted(t, p, "owner")
		for i := range 1 + 5*company {
			p.mustPut(t, i, time.Hour)
		}
		for range 5 {
			p.broken()
			again, l := noted(t, p, "owner")
			if !slices.EqualFunc(*first, *again, func(a, b []byte) bool {
				x, _, _ := parsed(t, a)
				y, _, _ := parsed(t, b)
				return x.first == y.first && x.count == y.count
			}) {
				t.Fatalf("%d frames became %d others", len(*first), len(*again))
			}
			if err := p.answered(l.reply((*again)[0])); err != nil {
				t.Fatal(err)
			}
			*first = (*again)[1:]
			time.Sleep(ms)
		}
		p.drop(disconnected, ErrUnavailable)
		p.broken()
	})
}

// A boot that wasn't asked must not be asked again: it would debit the hit too. One
// that doesn't say who it is could be another. The same if none comes.
func TestWhatIsNotSentAgain(t *testing.T) {
	for _, next := range []string{"another", "", "nobody", "closed"} {
		synctest.Test(t, func(t *testing.T) {
			p := unconnected(t)
			boot := "owner"
			if next == "" {
				boot = ""
			}
			noted(t, p, boot)
			sent, waits := p.mustPut(t, 1, time.Hour), p.mustPut(t, 2, time.Hour)
			p.broken()
			want := error(nil)
			switch next {
			case "nobody":
				want = ErrUnavailable
				p.drop(disconnected, want)
			case "closed":
				want = ErrClosed
				p.drop(closed, want)
			default:
				frames, l := noted(t, p, next)
				if len(*frames) != 1 {
					t.Fatalf("%d frames", len(*frames))
				}
				if err := p.answered(l.reply((*frames)[0])); err != nil {
					t.Fatal(err)
				}
			}
			wantEnded(t, []*Call{sent}, ErrUnavailable)
			wantEnded(t, []*Call{waits}, want)
			if sent.number != 1 {
				t.Errorf("the hit that may have been debited has number %d", sent.number)
			}
		})
	}
}

// A frame that breaks off while it is sent again to the boot which had it before
// doesn't go to another that answers meanwhile.
func TestAnotherBootWhileEncodingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := still()
		noted(t, p, "owner")
		c := p.mustPut(t, 1, time.Hour)
		p.broken()
		now := p.config.Now
		p.config.Now = func() int64 {
			if p.sending && len(p.again) == 0 && !p.beatDue && p.stream != nil && p.beating {
				p.config.Now = now
				p.broken()
				l := newLink(t, func(*link, []byte) { t.Error("sent to another boot") })
				p.established(l, "another", l.cut)
			}
			return now()
		}
		l := newLink(t, func(*link, []byte) { t.Error("sent over the stream that broke") })
		p.established(l, "owner", l.cut)
		wantEnded(t, []*Call{c}, ErrUnavailable)
	})
}

// The quota holds for the next stream too, with as much in flight as it takes and a
// heartbeat on top; and for a heartbeat that comes due when it is used up.
func TestSendingAgainKeepsTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := still()
		p.silence = int64(time.Hour)
		p.swept(t)
		unanswered := 0
		l := newLink(t, func(_ *link, frame []byte) { // it checks the quota
			_, hits, _ := parsed(t, frame)
			unanswered += len(hits)
		})
		var reader sync.WaitGroup
		defer reader.Wait()
		reader.Go(func() { p.follow(l) })
		synctest.Wait()
		var calls []*Call
		put := func(n int) {
			for range n {
				calls = append(calls, p.mustPut(t, len(calls), time.Hour))
			}
		}
		put(1 + 14*company)
		p.sending = true // somebody is about to send
		put(2000)
		p.mu.Lock()
		p.sending = false
		p.pump()
		p.mu.Unlock()
		if l.peak <= quota-heartbeatBytes || unanswered < 1800 {
			t.Errorf("only %d bytes of %d hits are in flight", l.peak, unanswered)
		}
		if unanswered >= memorySize {
			t.Errorf("%d hits are unanswered, and %d are remembered", unanswered, memorySize)
		}
		time.Sleep(300 * ms)
		l.cut()
		synctest.Wait()
		next := newLink(t, (*link).answer) // this too
		defer next.cut()
		reader.Go(func() { p.follow(next) })
		synctest.Wait()
		wantEnded(t, calls, nil)
		p.wantIdle(t)
	})
}

// While no stream comes, deadlines pass.
func TestDeadlineOfWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		noted(t, p, "owner")
		c := p.mustPut(t, 1, 50*ms)
		p.broken()
		time.Sleep(50 * ms)
		synctest.Wait()
		wantEnded(t, []*Call{c}, ErrDeadline)
		if frames, _ := noted(t, p, "owner"); len(*frames) != 0 {
			t.Error("sent again for nobody")
		}
	})
}

// A later peer to the same boot begins above the numbers of the former.
func TestNumbersOfALaterPeer(t *testing.T) {
	now := int64(0)
	c := PeerConfig{Now: func() int64 { return now }}
	former := newPeer(c)
	noted(t, former, "owner")
	one := former.mustPut(t, 1, time.Hour)
	now = int64(time.Second)
	later := newPeer(c)
	noted(t, later, "owner")
	if two := later.mustPut(t, 1, time.Hour); one.number != 1 || two.number != uint64(time.Second)+1 {
		t.Errorf("numbers %d and %d", one.number, two.number)
	}
}
