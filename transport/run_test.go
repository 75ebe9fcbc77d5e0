package transport

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// counter is an owner with a store, that decides equal hits at once.
type counter struct {
	mute
	now   int64
	store *bucket.Store
	asked []Hit
}

func newCounter() *counter { return &counter{store: bucket.NewStore(bucket.StoreConfig{ID: 7})} }

func (c *counter) Now() int64 { return c.now }

func (c *counter) Decide(h *Hit, now int64, a *Answer) {
	c.asked = append(c.asked, *h)
	switch {
	case h.Peek:
		a.Verdict = c.store.PeekDigest(h.Rule, h.Digest, h.Tokens, now)
		return
	case a.Run != nil:
		c.store.TakeRun(a.Run, nil, h.Rule, h.Digest, h.Tokens, h.Count, now, 1)
		return
	}
	a.Verdict = c.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
}

// equals makes one entry of count calls.
func equals(h Hit, count int, expire int64) *Call {
	var l line
	for range count {
		c := &Call{Hit: h, expire: expire, done: make(chan struct{}, 1)}
		c.last = c
		l.join(c, 1)
	}
	return l.heads[0]
}

// everyAlgorithm are rules of which some refuse soon.
func everyAlgorithm() []*bucket.Rule {
	var rules []*bucket.Rule
	for i, text := range []string{
		"5 per minute", "7 per minute leaky", "9 per minute fixed", "11 per minute sliding", "13 per minute log",
		"5 per second; 50 per hour", "20 per hour; 6 per minute fixed; 9 per minute leaky; penalty 4 per hour", "0 per hour",
	} {
		rules = append(rules, bucket.MustRule(fmt.Sprint("rule ", i), text))
	}
	return rules
}

// Whoever waits for an entry is told what he would be told if all hits of the frame
// had come one by one, in the order in which they were queued; and told the same when
// the frame comes again, or one of the hits by another way.
func TestEqualHitsAreToldWhatEachWouldBe(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 0))
	rules := everyAlgorithm()
	merged, single := newCounter(), newCounter()
	s := NewServer(merged, Hello{Boot: 2}, nil)
	defer s.Close()
	one := s.senders.join(1)
	defer s.senders.leave(1, one)
	stream := session{decider: decider{handler: merged}, memory: &one.memory, buffers: new(pool)}
	first := uint64(1)
	for round := range 300 {
		merged.now += rng.Int64N(int64(time.Second))
		var b batch
		b.reset(quota, first)
		for range 1 + rng.IntN(8) {
			rule := rules[rng.IntN(len(rules))]
			h := Hit{Rule: rule, Digest: bucket.DigestKey{}.Digest(rule, "k"), Tokens: rng.Int64N(3), Peek: rng.IntN(10) == 0}
			b.add(equals(h, 1+rng.IntN(30)*rng.IntN(2), merged.now+int64(time.Second)))
		}
		frame := make([]byte, b.bytes)
		b.encode(frame, merged.now)
		for time := range 2 {
			out, err := stream.answer(frame)
			if err != nil {
				t.Fatal(err)
			}
			var r reply
			if err := errors.Join(r.parse(*out.out), r.check(&b)); err != nil {
				t.Fatal(err)
			}
			for _, head := range b.calls {
				r.next(&head.Hit)
				i := 0
				for c := head; c != nil; c = c.next {
					c.ended.Store(false)
					got := c.Answer
					c.Answer = Answer{}
					if c.endRun(&r, i); time > 0 && c.Answer != got {
						t.Fatalf("round %d: %+v when the frame came again, %+v before", round, c.Answer, got)
					}
					<-c.done
					i++
				}
			}
		}
		for _, head := range b.calls {
			for c := head; c != nil; c = c.next {
				want := single.store.TakeDigest
				if c.Hit.Peek {
					want = single.store.PeekDigest
				}
				if v := want(c.Hit.Rule, c.Hit.Digest, c.Hit.Tokens, merged.now); c.Answer.Verdict != v || c.err != nil {
					t.Fatalf("round %d, number %d, %+v: %+v, want %+v", round, c.number, c.Hit, c.Answer.Verdict, v)
				}
				if a, err := s.DecideOnce(1, c.number, c.Hit, merged.now); err != nil || a.Verdict != c.Answer.Verdict {
					t.Fatalf("round %d, number %d by another way: %+v, %v, want %+v", round, c.number, a.Verdict, err, c.Answer.Verdict)
				}
			}
		}
		first += uint64(b.hits)
	}
}

// One of an entry's hits was decided by another way before the entry came: all have
// given up by then, as their time is the same, so nothing more is debited.
func TestEntryOfWhichOneWasDecided(t *testing.T) {
	c := newCounter()
	s := NewServer(c, Hello{Boot: 2}, nil)
	defer s.Close()
	one := s.senders.join(1)
	defer s.senders.leave(1, one)
	if a, err := s.DecideOnce(1, 12, hit(1), 0); err != nil || !a.Verdict.Allowed {
		t.Fatal(a, err)
	}
	stream := session{decider: decider{handler: c}, memory: &one.memory, buffers: new(pool)}
	out, err := stream.answer(encoded(t, 0, 10, equals(hit(1), 5, int64(time.Second)), equals(hit(2), 2, int64(time.Second))))
	answers, errs := told(t, out, err)
	if errs[0] != ErrDeadline || errs[1] != nil || !answers[1].Verdict.Allowed || len(c.asked) != 2 {
		t.Errorf("%v, %+v, decided %+v", errs, answers, c.asked)
	}
}

// Any number of equal hits takes one place, in the order in which they came, and
// those that expire leave it to the others.
func TestEqualHitsTakeOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		calls := make([]*Call, 50_000)
		for i := range calls {
			left := time.Hour
			if i%5 == 0 {
				left = 50 * ms
			}
			var err error
			if calls[i], err = p.put(hit(i%7), left); err != nil {
				t.Fatal(err)
			}
		}
		p.mu.Lock()
		if n := len(p.queue.heads); n != 14 {
			t.Errorf("%d places, want 14", n)
		}
		p.mu.Unlock()
		time.Sleep(60 * ms)
		synctest.Wait()
		p.mu.Lock()
		if n := len(p.queue.heads); n != 7 {
			t.Errorf("%d places, want 7", n)
		}
		b := p.collect()
		p.mu.Unlock()
		if len(b.calls) != 7 || b.hits != 40_000 {
			t.Errorf("%d entries of %d hits", len(b.calls), b.hits)
		}
		number := b.first
		for _, head := range b.calls {
			last := -1
			for c := head; c != nil; c = c.next {
				i := slices.Index(calls[last+1:], c) + last + 1
				if c.ended.Load() || c.number != number || i <= last {
					t.Fatalf("call %d after %d, number %d, want %d", i, last, c.number, number)
				}
				last = i
				number++
			}
		}
		b.fail(ErrUnavailable)
		p.recycle(b)
		p.wantIdle(t)
	})
}

// What is told apart stands in places of its own.
func TestWhatIsNotEqual(t *testing.T) {
	var l line
	h := hit(1)
	other := bucket.MustRule("api", "7/second")
	same := bucket.MustRule("api", "100/second")
	for i, change := range []func(*Call){
		func(*Call) {}, func(c *Call) { c.Hit.Digest.Hi++ }, func(c *Call) { c.Hit.Digest.Lo++ }, func(c *Call) { c.Hit.Tokens++ },
		func(c *Call) { c.Hit.Peek = true }, func(c *Call) { c.Hit.Orphan = true }, func(c *Call) { c.Hit.Rule = other }, func(c *Call) { c.expire += grain },
	} {
		for range 2 {
			c := &Call{Hit: h}
			change(c)
			c.last = c
			l.join(c, 1000)
		}
		if len(l.heads) != i+1 || l.heads[i].others != 1 {
			t.Errorf("change %d: %d places, %d others in the last", i, len(l.heads), l.heads[len(l.heads)-1].others)
		}
	}
	c := &Call{Hit: h, expire: grain - 1}
	c.Hit.Rule, c.last = same, c
	if l.join(c, 0); l.heads[0].others != 2 {
		t.Error("a rule that decides alike, or a time that is nearly the same, makes another entry")
	}
}

// The line is a list and an index that always agree, however it grows and shrinks.
func TestLine(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 0))
	var l line
	for range 200 {
		for range rng.IntN(600) {
			c := &Call{Hit: hit(rng.IntN(2000))}
			c.last = c
			l.join(c, 1500)
		}
		for i, c := range l.heads {
			if at, head := l.find(c); head != c || l.index[at].at != uint32(i) {
				t.Fatalf("place %d of %d isn't found", i, len(l.heads))
			}
		}
		for _, c := range l.heads {
			if rng.IntN(4) == 0 {
				c.ended.Store(true)
			}
		}
		l.prune()
		l.leave(rng.IntN(len(l.heads) + 1))
	}
}

// Hits of one key that aren't equal stand apart in the index: whoever chooses what they
// cost can't have each look at all the others.
func TestUnequalHitsOfOneKeyAreFoundSoon(t *testing.T) {
	for name, unlike := range map[string]func(i int64) *Call{
		"costs":     func(i int64) *Call { return &Call{Hit: Hit{Rule: testRule, Tokens: 1 + i}} },
		"steps":     func(i int64) *Call { return &Call{Hit: Hit{Rule: testRule, Tokens: 1024 * i}} },
		"deadlines": func(i int64) *Call { return &Call{Hit: Hit{Rule: testRule, Tokens: 1}, expire: i * grain} },
	} {
		var l line
		for i := range int64(maxQueue) {
			c := unlike(i)
			c.last = c
			l.join(c, maxQueue)
		}
		if len(l.heads) != maxQueue {
			t.Errorf("%s: %d places", name, len(l.heads))
		}
		for _, c := range l.heads {
			at, _ := l.find(c)
			if steps := (at - c.home(len(l.index))) & (len(l.index) - 1); steps > 200 {
				t.Fatalf("%s: found after %d steps", name, steps)
			}
		}
	}
}

// Answers go to callers who ask again at once: the reader must be done with a call
// before it wakes its caller.
func TestEqualCallersAskAgain(t *testing.T) { callersAskAgain(t, 0) }

// Whoever asks while a frame is on its way shares the next one's entry, so each caller
// has an answer by every third. The time that a frame takes passes when all have asked:
// how many entries there are is no matter of how goroutines happen to run, as it is
// where answers come at once.
func TestEqualCallersShareEntries(t *testing.T) {
	if entries := callersAskAgain(t, time.Millisecond); entries > 300 {
		t.Errorf("%d entries for 10000 equal hits", entries)
	}
}

// callersAskAgain has 100 callers ask 100 times each for one key, of which half may
// pass, and returns how many entries the frames had, each of which takes so long.
func callersAskAgain(t *testing.T, takes time.Duration) (entries int) {
	synctest.Test(t, func(t *testing.T) {
		p := unconnected(t)
		owner := newCounter()
		s := session{decider: decider{handler: owner}, memory: new(memory), buffers: new(pool)}
		var mu sync.Mutex
		l := newLink(t, func(l *link, frame []byte) {
			time.Sleep(takes)
			mu.Lock()
			defer mu.Unlock()
			out, err := s.answer(frame)
			if err != nil {
				t.Error(err)
				return
			}
			l.replies <- bytes.Clone(*out.out)
		})
		var reader, callers sync.WaitGroup
		reader.Go(func() { p.follow(l) })
		rule, expire := bucket.MustRule("api", "5000/year"), p.config.Now()+int64(time.Hour)
		var allowed [100]int
		for i := range allowed {
			callers.Go(func() {
				for range 100 {
					a, err := ask(p, Hit{Rule: rule, Tokens: 1}, expire)
					if err != nil {
						t.Error(err)
					}
					if a.Verdict.Allowed {
						allowed[i]++
					}
				}
			})
		}
		callers.Wait()
		l.cut()
		reader.Wait()
		sum := 0
		for _, n := range allowed {
			sum += n
		}
		if sum != 5000 {
			t.Errorf("%d were allowed, of 5000", sum)
		}
		entries = len(owner.asked)
	})
	return entries
}

// Whatever a run says, it says something to each hit or is refused.
func FuzzRun(f *testing.F) {
	c := newCounter()
	for i, rule := range everyAlgorithm() {
		var run bucket.Run
		c.store.TakeRun(&run, nil, rule, bucket.Digest{Lo: 1}, 1, 10*i+2, 0, 1)
		f.Add(appendRun(nil, &run)[fieldHeader:], 10*i+2)
	}
	record := make([]byte, verdictBytes)
	record[0] = statusAllowed
	rule := bucket.MustRule("api", "5 per second; 7 per hour sliding")
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		if err := checkRun(b, count); err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		var run, again bucket.Run
		h := Hit{Rule: rule, Tokens: 3}
		readRun(&run, record, b, &h)
		if run.Len() != count {
			t.Fatalf("%d of %d", run.Len(), count)
		}
		sent := appendRun(nil, &run)[fieldHeader:]
		if err := checkRun(sent, count); err != nil {
			t.Fatal(err)
		}
		readRun(&again, record, sent, &h)
		for _, i := range []int{0, 1, count / 2, count - 1} {
			if i < 0 || i >= count {
				continue
			}
			var v, w bucket.Verdict
			run.At(&v, rule, i)
			again.At(&w, rule, i)
			if v != w {
				t.Fatalf("hit %d: %+v became %+v", i, v, w)
			}
		}
	})
}
