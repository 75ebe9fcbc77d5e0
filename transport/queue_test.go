package transport

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// put queues a hit as Ask does, and does not wait for its verdict.
func (p *Peer) put(h Hit, left time.Duration) (*Call, error) {
	c := asking(h, p.config.Now()+int64(left))
	return c, p.enqueue(c)
}

// asking is a call that is about to be queued.
func asking(h Hit, expire int64) *Call {
	c := new(Calls).Get()
	c.Hit = h
	c.begin(expire)
	return c
}

func hit(i int) Hit {
	return Hit{Digest: bucket.Digest{Lo: uint64(i)}, Rule: testRule, Tokens: 1}
}

// What has expired makes room at once, though no stream is there to take it.
func TestExpiredCallsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		for round := range 2 {
			var short, long []*Call
			for i := range maxQueue {
				left := 50 * ms
				if i%4 == 0 {
					left = 200 * ms
				}
				c, err := p.put(hit(i), left)
				if err != nil {
					t.Fatalf("round %d, hit %d: %v", round, i, err)
				}
				if i%4 == 0 {
					long = append(long, c)
				} else {
					short = append(short, c)
				}
			}
			if _, err := p.put(hit(0), time.Second); err != ErrFull {
				t.Fatalf("one too many: %v", err)
			}
			time.Sleep(50 * ms)
			synctest.Wait()
			wantEnded(t, short, ErrDeadline)
			p.mu.Lock()
			if n := len(p.queue.heads); n != len(long) {
				t.Errorf("%d in the queue, want %d", n, len(long))
			}
			p.mu.Unlock()
			time.Sleep(150 * ms)
			synctest.Wait()
			wantEnded(t, long, ErrDeadline)
			p.wantIdle(t)
		}
	})
}

// wantEnded wants each call to have ended just once.
func wantEnded(t *testing.T, calls []*Call, want error) {
	t.Helper()
	for i, c := range calls {
		if !c.ended.Load() || len(c.done) != 1 || c.err != want {
			t.Fatalf("call %d: ended %v, woken %d times, error %v; want %v", i, c.ended.Load(), len(c.done), c.err, want)
		}
	}
}

// A frame leaves at once while none is unanswered. Behind one, hits gather until
// there are enough; and no more is sent unanswered than gRPC takes.
func TestWhenFramesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		var frames [][]byte
		l := newLink(t, func(_ *link, frame []byte) { frames = append(frames, frame) })
		var reader sync.WaitGroup
		reader.Go(func() { p.follow(l) })
		defer reader.Wait()
		defer l.cut()
		synctest.Wait()
		n := 0
		put := func(hits int) {
			t.Helper()
			for range hits {
				if _, err := p.put(hit(n), time.Hour); err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		want := func(why string, sizes ...int) {
			t.Helper()
			synctest.Wait()
			var got []int
			for _, frame := range frames {
				_, hits, _ := parsed(t, frame)
				got = append(got, len(hits))
			}
			if !slices.Equal(got, sizes) {
				t.Fatalf("%s: frames of %v hits, want %v", why, got, sizes)
			}
		}
		answer := func() {
			synctest.Wait()
			oldest := frames[0]
			frames = frames[1:]
			l.answer(oldest)
			synctest.Wait()
		}
		put(1)
		want("a lone hit", 1)
		put(company - 1)
		want("too few to follow", 1)
		put(1)
		want("enough to follow", 1, company)
		put(10)
		answer()
		want("the oldest answered, but not all", company)
		answer()
		want("all answered", 10)
		// Frames follow while less than half of the quota is taken. The last of
		// them, of as many hits as there are, may take all the rest.
		put(16*company + 1000)
		follow := slices.Repeat([]int{company}, 15)
		want("half the quota is taken", append([]int{10}, follow...)...)
		answer()
		answer()
		want("room for another", append(follow[1:], 993)...)
		if l.peak > quota || l.peak <= quota-hitBytes {
			t.Errorf("%d bytes were in flight at most, want all of %d that another hit doesn't fit in", l.peak, quota)
		}
		for len(frames) > 0 {
			answer()
		}
		p.wantIdle(t)
		if n := len(p.spare); n > 8 {
			t.Errorf("%d batches are kept for later", n)
		}
	})
}

// Calls go out in the order in which they came, in frames that respect every
// bound, whatever their rules.
func TestCollect(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 0))
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			p := unconnected(t)
			rules := randomRules(rng, 1+rng.IntN(150))
			calls := randomCalls(rng, 1+rng.IntN(3000), int64(time.Hour), rules)
			ended := map[*Call]bool{}
			for _, c := range calls {
				c.done = make(chan struct{}, 1)
				if rng.IntN(10) == 0 {
					ended[c] = true
					c.fail(ErrDeadline)
				}
			}
			for _, c := range calls {
				c.last = c
				p.queue.join(c, len(calls))
			}
			next := 0
			for len(p.queue.heads) > 0 {
				p.unanswered = rng.IntN(quota / 2)
				b := p.collect()
				if b.bytes > quota-p.unanswered || len(b.calls) > maxFrameHits || len(b.rules) > maxFrameRules {
					t.Fatalf("a frame of %d bytes, %d hits, %d rules, with %d bytes unanswered", b.bytes, len(b.calls), len(b.rules), p.unanswered)
				}
				if len(b.calls) == 0 && len(p.queue.heads) > 0 {
					t.Fatal("an empty frame, and hits that wait")
				}
				for _, c := range b.calls {
					for ended[calls[next]] {
						next++
					}
					if c != calls[next] {
						t.Fatalf("not call %d", next)
					}
					if b.earliest > c.expire {
						t.Fatalf("earliest deadline %d, and one of %d", b.earliest, c.expire)
					}
					next++
				}
				p.recycle(b)
			}
			p.unanswered = 0
			p.wantIdle(t)
			for _, b := range p.spare {
				for _, c := range b.calls[:cap(b.calls)] {
					if c != nil {
						t.Fatal("a spare batch keeps a call alive")
					}
				}
				for _, r := range b.rules[:cap(b.rules)] {
					if r != nil {
						t.Fatal("a spare batch keeps a rule alive")
					}
				}
			}
		})
	}
}

// A call that expired is never used again, as a frame in flight may still hold
// it; one that was answered is.
func TestPoolTakesAnsweredCallsOnly(t *testing.T) {
	var pool Calls
	for range 1000 {
		c := pool.Get()
		c.begin(1)
		c.fail(ErrDeadline)
		<-c.done
		pool.Put(c)
		if again := pool.Get(); again == c {
			t.Fatal("an expired call was used again")
		}
	}
	c := pool.Get()
	c.begin(1)
	c.end(saying(t, Answer{NotHeld: true, Hint: 1}))
	c.fail(ErrClosed) // too late
	if <-c.done; c.Answer.Hint != 1 || c.err != nil || len(c.done) != 0 {
		t.Errorf("ended twice: %+v, %v", c.Answer, c.err)
	}
}

// A call that was answered may be asked again, and used again by somebody else: neither
// finds anything of what was said before.
func TestCallsAreFreshWhenTheyAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool Calls
		p := still()
		says := Answer{NotHeld: true, Hint: 7}
		p.on(newLink(t, func(l *link, frame []byte) {
			answer := slices.Clone(l.reply(frame))
			putAnswer(record(answer, 0), &says)
			go func() {
				if err := p.answered(answer); err != nil {
					t.Error(err)
				}
				p.freed(1)
			}()
		}))
		c := pool.Get()
		c.Hit = hit(1)
		if err := p.Ask(c, int64(time.Hour)); err != nil || !c.Answer.NotHeld || c.Answer.Hint != 7 || c.Answer.Number == 0 {
			t.Fatalf("%+v, %v", c.Answer, err)
		}
		first := c.Answer.Number
		says = Answer{Verdict: bucket.Verdict{Allowed: true, Remaining: 3}}
		if err := p.Ask(c, int64(time.Hour)); err != nil || c.Answer != (Answer{Verdict: bucket.Verdict{Allowed: true, Remaining: 3, Receipt: c.Answer.Verdict.Receipt}, Number: first + 1, At: c.Answer.At}) {
			t.Errorf("asked again: %+v, %v", c.Answer, err)
		}
		pool.Put(c)
		if c.Hit != (Hit{}) || c.Answer != (Answer{}) {
			t.Errorf("back in the pool: %+v, %+v", c.Hit, c.Answer)
		}
		p.drop(disconnected, ErrUnavailable)
		if err := p.Ask(c, int64(time.Hour)); err != ErrUnavailable || c.Answer != (Answer{}) {
			t.Errorf("refused before it was queued: %+v, %v", c.Answer, err)
		}
	})
}

// While a frame is put together its calls stand nowhere: not in the queue any
// more and not in flight yet. meanwhile happens just then, to a frame of one
// call.
func putMeanwhile(t *testing.T, p *Peer, meanwhile func()) *Call {
	t.Helper()
	now := p.config.Now
	defer func() { p.config.Now = now }()
	c := asking(hit(1), now()+int64(50*ms))
	p.config.Now = func() int64 { // called by send, for the remaining times
		p.config.Now = now
		meanwhile()
		return now()
	}
	if err := p.enqueue(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSweepWhileEncoding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := still()
		p.on(newLink(t, func(*link, []byte) {}))
		c := putMeanwhile(t, p, func() {
			time.Sleep(20 * ms)
			p.armed = 0
			if rest, _ := p.look(p.config.Now()); rest != 80*ms {
				t.Errorf("the sweeper found something to wait %v for, and not only the heartbeat's answer", rest)
			}
		})
		if p.armed > c.expire || len(p.alarm) == 0 {
			t.Fatalf("the sweeper will look at %d, and the call expires at %d", p.armed, c.expire)
		}
		time.Sleep(30 * ms)
		p.look(p.config.Now())
		wantEnded(t, []*Call{c}, ErrDeadline)
	})
}

func TestStreamBreaksWhileEncoding(t *testing.T) {
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := still()
			p.on(newLink(t, func(*link, []byte) { t.Error("sent over the stream that broke") }))
			var frames [][]byte
			var waiting *Call
			c := putMeanwhile(t, p, func() {
				p.broken()
				waiting, _ = p.put(hit(2), time.Hour)
				if again {
					p.on(newLink(t, func(_ *link, frame []byte) { frames = append(frames, frame) }))
				}
			})
			if c.ended.Load() || waiting.ended.Load() {
				t.Error("a call that waits for the next stream has ended")
			}
			if !again {
				p.drop(disconnected, ErrUnavailable)
				wantEnded(t, []*Call{c, waiting}, ErrUnavailable)
				p.wantIdle(t)
				return
			}
			for i, c := range []*Call{c, waiting} {
				if len(frames) != i+1 || p.inFlight != 1 || p.unanswered != len(frames[i])+heartbeatBytes {
					t.Fatalf("%d frames on the next stream, %d in flight", len(frames), p.inFlight)
				}
				if err := p.answered(p.stream.(*link).reply(frames[i])); err != nil {
					t.Error(err)
				}
				wantEnded(t, []*Call{c}, nil)
				p.mu.Lock()
				p.inFlight--
				p.pump()
				p.mu.Unlock()
			}
		})
	}
}

// One look of the sweeper ends what is due within a grain of it, in the queue
// and in flight, and no more. It returns how long there is nothing to do: until a
// grain before the next deadline, as timers are late and calls mustn't be.
func TestExpireDue(t *testing.T) {
	p := still()
	n := 0
	at := func(d time.Duration) *Call {
		n++
		return asking(hit(n), int64(d))
	}
	queued := []*Call{at(20 * ms), at(10 * ms), at(10*ms + 1), at(30 * ms)}
	flying := []*Call{at(9 * ms), at(10 * ms), at(11 * ms), at(10*ms + 1)}
	for _, c := range queued {
		p.queue.join(c, maxQueue)
	}
	p.flights = []*batch{{calls: flying, earliest: int64(9 * ms)}, {calls: []*Call{at(time.Hour)}, earliest: int64(time.Hour)}}
	p.armed = int64(9 * ms)
	steps := []struct {
		now, rest time.Duration
		queued    int
		ended     []*Call
	}{
		{0, 8 * ms, 4, nil},
		{8*ms - 1, 1, 4, nil},
		{8 * ms, ms, 4, flying[:1]},
		{9 * ms, 1, 3, []*Call{queued[1], flying[1]}},
		{9*ms + 1, ms - 1, 2, []*Call{queued[2], flying[3]}},
		{10 * ms, 9 * ms, 2, flying[2:3]},
		{50 * ms, time.Hour - 51*ms, 0, []*Call{queued[0], queued[3]}},
		{time.Hour, 0, 0, []*Call{p.flights[1].calls[0]}},
		{2 * time.Hour, 0, 0, nil},
	}
	all := slices.Concat(queued, flying, p.flights[1].calls)
	var over []*Call
	for _, s := range steps {
		if rest, _ := p.look(int64(s.now)); rest != s.rest || len(p.queue.heads) != s.queued {
			t.Errorf("at %v: rests for %v with %d in the queue, want %v and %d", s.now, rest, len(p.queue.heads), s.rest, s.queued)
		}
		over = append(over, s.ended...)
		wantEnded(t, over, ErrDeadline)
		for _, c := range all {
			if c.ended.Load() && !slices.Contains(over, c) {
				t.Errorf("at %v: the call of %v has ended", s.now, time.Duration(c.expire))
			}
		}
	}
}
