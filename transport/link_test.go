package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/shoal-dev/shoal/bucket"
)

// link is a stream whose other end is a function of the test. It checks what
// gRPC demands of its users, and what the peer promises about its frames.
type link struct {
	grpc.ClientStream // nil: Peer needs nothing else
	t                 *testing.T
	owner             func(l *link, frame []byte) // called by SendMsg; it may call answer and cut
	beat              func(l *link)               // called for a heartbeat; nil answers it
	deaf              atomic.Bool                 // heartbeats are not answered
	gone              chan struct{}               // closed when the stream breaks
	cutOnce           sync.Once

	replies chan []byte
	sending atomic.Bool
	reading atomic.Bool   // RecvMsg waits for a reply
	again   chan struct{} // of capacity 1: RecvMsg was called

	mu    sync.Mutex
	next  uint64 // least number that may come
	beats int    // heartbeats that aren't answered
	sent  []int  // bytes of the frames that aren't answered
	total int    // of their bytes
	peak  int    // of total
}

func newLink(t *testing.T, owner func(l *link, frame []byte)) *link {
	return &link{
		t: t, owner: owner,
		gone:    make(chan struct{}),
		replies: make(chan []byte, 10_000),
		again:   make(chan struct{}, 1),
	}
}

func (l *link) SendMsg(m any) error {
	if !l.sending.CompareAndSwap(false, true) {
		l.t.Error("two SendMsg at a time")
	}
	defer l.sending.Store(false)
	frame := bytes.Clone(*m.(*frame).out)
	beat := kindOf(frame) == kindHeartbeat
	l.note(frame, beat)
	select {
	case <-l.gone:
		return io.EOF
	default:
	}
	switch {
	case !beat:
		l.owner(l, frame)
	case l.beat != nil:
		l.beat(l)
	case !l.deaf.Load():
		l.replies <- *sighting(Sight{}).out
	}
	return nil
}

// note keeps the books of what is unanswered.
func (l *link) note(frame []byte, beat bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += len(frame)
	l.peak = max(l.peak, l.total)
	if l.total > quota {
		l.t.Errorf("%d bytes are sent and not answered", l.total)
	}
	if beat {
		if l.beats++; l.beats > 1 {
			l.t.Error("two heartbeats at a time")
		}
		return
	}
	var r request
	if err := r.parse(frame, new(ruleCache)); err != nil {
		l.t.Error(err)
	}
	if r.first < max(l.next, 1) {
		l.t.Errorf("the frame begins with hit %d, want %d or more", r.first, l.next)
	}
	l.next = r.first + uint64(r.count)
	l.sent = append(l.sent, len(frame))
}

func (l *link) RecvMsg(m any) error {
	l.reading.Store(true)
	defer l.reading.Store(false)
	select {
	case l.again <- struct{}{}:
	default:
	}
	select {
	case <-l.gone:
		return errors.New("the stream broke")
	case b := <-l.replies:
		l.mu.Lock()
		if kindOf(b) == kindSight {
			l.beats--
			l.total -= heartbeatBytes
		} else {
			l.total -= l.sent[0]
			l.sent = l.sent[1:]
		}
		l.mu.Unlock()
		m.(*frame).in = mem.SliceBuffer(b)
		return nil
	}
}

// answer gives the reply to a frame to the reader.
func (l *link) answer(frame []byte) { l.replies <- l.reply(frame) }

// answerAtOnce returns only when the reader has done all that it does with the
// reply, unless it is the reader who sent the frame.
func (l *link) answerAtOnce(frame []byte) {
	waits := l.reading.Load()
	select {
	case <-l.again:
	default:
	}
	l.answer(frame)
	if waits {
		<-l.again
	}
}

func (l *link) cut() { l.cutOnce.Do(func() { close(l.gone) }) }

// reply says each hit of the frame back.
func (l *link) reply(frame []byte) []byte {
	r, hits, _ := parsed(l.t, frame)
	verdicts := make([]bucket.Verdict, len(hits))
	for i, h := range hits {
		verdicts[i] = echoed(h)
	}
	return replied(r.first, verdicts...)
}

func echoed(h Hit) bucket.Verdict {
	return waiting(bucket.Verdict{
		Allowed:   h.Digest.Lo%2 == 0,
		Limit:     uint8(h.Digest.Lo % bucket.MaxLimits),
		Remaining: int64(h.Digest.Lo),
	}, time.Duration(h.Tokens))
}

// waiting adds a wait, of the kind that the verdict can have.
func waiting(v bucket.Verdict, wait time.Duration) bucket.Verdict {
	if v.Allowed {
		v.Delay = wait
	} else {
		v.RetryAfter = wait
	}
	return v
}

// ask is Peer.Ask with values.
func ask(p *Peer, h Hit, expire int64) (Answer, error) {
	c := new(Calls).Get()
	c.Hit = h
	err := p.Ask(c, expire)
	return c.Answer, err
}

// said is the i-th answer in a reply, to a zero hit.
func said(r *reply, i int) (a Answer, err error) {
	err = readAnswer(&a, r.verdicts[i*r.stride:][:verdictBytes], &Hit{})
	return a, err
}

// saying is a reply of one answer.
func saying(t *testing.T, a Answer) *reply {
	buf := make([]byte, replySize(1))
	beginReply(buf, 1, 1)
	putAnswer(record(buf, 0), &a)
	r := new(reply)
	if err := r.parse(buf); err != nil {
		t.Fatal(err)
	}
	r.next(&Hit{})
	return r
}

// on has the peer use a stream to the boot "owner".
func (p *Peer) on(l *link) { p.established(l, "owner", l.cut) }

// follow is what the peer does with one stream.
func (p *Peer) follow(l *link) {
	p.on(l)
	_ = p.receive(l)
	p.broken()
}

// wantIdle wants nothing to be outstanding, by any of the books.
func (p *Peer) wantIdle(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue.heads) != 0 || len(p.flights) != 0 || len(p.again) != 0 || p.inFlight != 0 || p.unanswered != 0 || p.sending {
		t.Errorf("left over: %d queued, %d frames, %d in flight, %d bytes, sending %v", len(p.queue.heads), len(p.flights), p.inFlight, p.unanswered, p.sending)
	}
	for i, c := range p.queue.heads[:cap(p.queue.heads)] {
		if c != nil {
			t.Fatalf("place %d of the queue keeps a call alive", i)
		}
	}
	for i, b := range p.flights[:cap(p.flights)] {
		if b != nil {
			t.Fatalf("place %d of the frames in flight keeps one alive", i)
		}
	}
}

// The answer may have been dealt with when SendMsg returns: then the reader
// found somebody sending and left the queue to that one. In a bubble, a wake-up
// that is lost is a call that waits for an hour.
func TestNoLostWakeUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		owner func(l *link, frame []byte)
	}{
		{"answered inside SendMsg", (*link).answerAtOnce},
		{"answered at once", (*link).answer},
	} {
		for _, callers := range []int{1, 2, 3, 16, 200, 700} {
			t.Run(fmt.Sprint(tt.name, "/callers=", callers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := unconnected(t)
					l := newLink(t, tt.owner)
					var reader sync.WaitGroup
					reader.Go(func() { p.follow(l) })
					var wg sync.WaitGroup
					for caller := range callers {
						wg.Go(func() {
							for n := range max(2, 1000/callers) {
								askEcho(t, p, hit(caller*10_000+n), time.Hour)
							}
						})
					}
					wg.Wait()
					synctest.Wait()
					p.wantIdle(t)
					l.cut()
					reader.Wait()
				})
			})
		}
	}
}

// askEcho wants the hit's own answer, or one of the errors, by its deadline.
func askEcho(t *testing.T, p *Peer, h Hit, left time.Duration, or ...error) error {
	t.Helper()
	expire := p.config.Now() + int64(left)
	a, err := ask(p, h, expire)
	if err == nil && a.Number == 0 {
		t.Errorf("hit %d has no number", h.Digest.Lo)
	}
	a.Number, a.At = 0, 0
	if err == nil && a != (Answer{Verdict: echoed(h)}) {
		t.Errorf("hit %d was answered %+v, the answer to another", h.Digest.Lo, a)
	}
	if err != nil && !slices.Contains(or, err) {
		t.Errorf("hit %d: %v", h.Digest.Lo, err)
	}
	if now := p.config.Now(); now > expire {
		t.Errorf("hit %d returned %v late", h.Digest.Lo, time.Duration(now-expire))
	}
	return err
}

// A stream that answers whenever it likes and breaks whenever it likes, and
// callers that wait for as long as they like: each call ends once, with its own
// answer or an error, and the books balance when it is over.
func TestAnyInterleaving(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { anyInterleaving(t, seed) })
		})
	}
}

func anyInterleaving(t *testing.T, seed uint64) {
	p := unconnected(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	rules := randomRules(rng, 1+rng.IntN(100))
	breaks := rng.Float64() * 0.1 // the probability, by the frame
	var over atomic.Bool          // nothing breaks any more

	numbered := map[uint64]uint64{} // hits by their numbers
	note := func(frame []byte) {
		r, hits, _ := parsed(t, frame)
		for i, h := range hits {
			number := r.first + uint64(i)
			if was, again := numbered[number]; again && was != h.Digest.Lo {
				t.Errorf("number %d is hit %d, and was %d", number, h.Digest.Lo, was)
			}
			numbered[number] = h.Digest.Lo
		}
	}

	// The connector: streams one after another, at times with a pause in which
	// hits fail.
	var current atomic.Pointer[link]
	var streams sync.WaitGroup
	streams.Go(func() {
		for n := uint64(1); !over.Load(); n++ {
			rng := rand.New(rand.NewPCG(seed, n<<32))
			frames := make(chan []byte, 10_000)
			l := newLink(t, func(_ *link, frame []byte) {
				note(frame)
				frames <- frame
			})
			current.Store(l)
			streams.Go(func() {
				for {
					select {
					case <-l.gone:
						return
					case frame := <-frames:
						if rng.IntN(3) > 0 {
							time.Sleep(time.Duration(rng.IntN(int(40 * ms))))
						}
						if !over.Load() && rng.Float64() < breaks {
							l.cut()
							return
						}
						l.answer(frame)
					}
				}
			})
			p.follow(l)
			if n%2 == 0 {
				p.drop(disconnected, ErrUnavailable)
				time.Sleep(5 * ms)
			}
		}
	})

	const callers, hits = 40, 30
	var ended [4]atomic.Int64 // answered, ErrDeadline, ErrUnavailable, another
	var wg sync.WaitGroup
	for caller := range callers {
		rng := rand.New(rand.NewPCG(seed, uint64(caller)+1))
		wg.Go(func() {
			for n := range hits {
				h := Hit{Digest: bucket.Digest{Lo: uint64(caller*1000 + n)}, Rule: rules[rng.IntN(len(rules))], Tokens: rng.Int64N(100)}
				switch err := askEcho(t, p, h, time.Duration(rng.IntN(int(60*ms))), ErrDeadline, ErrUnavailable); err {
				case nil:
					ended[0].Add(1)
				case ErrDeadline:
					ended[1].Add(1)
				case ErrUnavailable:
					ended[2].Add(1)
					time.Sleep(ms)
				default:
					ended[3].Add(1)
				}
				if rng.IntN(4) == 0 {
					time.Sleep(time.Duration(rng.IntN(int(3 * ms))))
				}
			}
		})
	}
	wg.Wait()
	if ended[0].Load() == 0 || ended[1].Load() == 0 || ended[3].Load() != 0 {
		t.Errorf("%d answered, %d expired, %d unavailable, %d else", ended[0].Load(), ended[1].Load(), ended[2].Load(), ended[3].Load())
	}

	over.Store(true)
	time.Sleep(time.Second) // all answers come
	p.wantIdle(t)
	current.Load().cut()
	streams.Wait()
	p.wantIdle(t)
}
