package transport

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// till is a Handler that counts what it debits. Each hit is told how many there
// were before it.
type till struct {
	mute
	mu      sync.Mutex
	debits  map[uint64]int // by the digest
	total   int64
	notHere bool
	clock   int64
}

func (c *till) Now() int64 { return c.clock }

func (c *till) Decide(h *Hit, _ int64, a *Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notHere {
		a.NotHeld, a.Hint = true, 7
		return
	}
	if c.debits == nil {
		c.debits = map[uint64]int{}
	}
	c.debits[h.Digest.Lo]++
	c.total++
	a.Verdict = bucket.Verdict{Allowed: true, Remaining: c.total}
}

// told reads the answers in a reply.
func told(t *testing.T, out *frame, err error) (answers []Answer, errs []error) {
	t.Helper()
	var r reply
	if err == nil {
		err = r.parse(*out.out)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.count {
		a, err := said(&r, i)
		answers, errs = append(answers, a), append(errs, err)
	}
	return answers, errs
}

// asked makes a frame of the hits, a second left to each.
func asked(t *testing.T, first uint64, hits ...int) []byte {
	calls := make([]*Call, len(hits))
	for i, n := range hits {
		calls[i] = &Call{Hit: hit(n), expire: int64(time.Second)}
	}
	return encoded(t, 0, first, calls...)
}

// A frame that comes again, in whatever stream, is answered as it was and debits
// nothing. Equal hits of one frame are different hits.
func TestFrameThatComesAgain(t *testing.T) {
	c := &till{}
	m := new(memory)
	for i := range 5 {
		s := session{decider: decider{handler: c}, memory: m, buffers: new(pool)}
		for range 2 {
			out, err := s.answer(asked(t, 10, 1, 1, 2))
			answers, _ := told(t, out, err)
			for j, a := range answers {
				if a.Verdict.Remaining != int64(j+1) {
					t.Errorf("time %d, hit %d: %+v", i, j, a)
				}
			}
		}
	}
	if c.debits[1] != 2 || c.debits[2] != 1 {
		t.Errorf("debited %v", c.debits)
	}
}

// What debited nothing isn't remembered: neither what isn't held here nor what came
// too late.
func TestWhatIsNotRemembered(t *testing.T) {
	c := &till{notHere: true}
	s := session{decider: decider{handler: c}, memory: new(memory), buffers: new(pool)}
	out, err := s.answer(asked(t, 10, 1))
	if answers, _ := told(t, out, err); !answers[0].NotHeld || answers[0].Hint != 7 {
		t.Errorf("not held: %+v", answers[0])
	}
	c.notHere, c.clock = false, int64(2*time.Second)
	out, err = s.answer(asked(t, 10, 1))
	if _, errs := told(t, out, err); errs[0] != ErrDeadline || c.total != 0 {
		t.Errorf("late: %v, %d debits", errs[0], c.total)
	}
	c.clock = 0
	for range 2 {
		out, err = s.answer(asked(t, 10, 1))
		if answers, _ := told(t, out, err); answers[0].Verdict.Remaining != 1 || c.total != 1 {
			t.Errorf("at last: %+v, %d debits", answers[0], c.total)
		}
	}
	c.clock = int64(2 * time.Second)
	out, err = s.answer(asked(t, 10, 1))
	if answers, _ := told(t, out, err); answers[0].Verdict.Remaining != 1 || c.total != 1 {
		t.Errorf("late, but decided: %+v, %d debits", answers[0], c.total)
	}
}

// A hit that is older than all that are remembered is refused, and those after it
// aren't.
func TestForgottenHit(t *testing.T) {
	c := &till{}
	s := session{decider: decider{handler: c}, memory: new(memory), buffers: new(pool)}
	for n := range memorySize {
		if _, err := s.answer(asked(t, uint64(11+2*n), 1)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.answer(asked(t, 9, 2, 3, 4, 5))
	answers, errs := told(t, out, err)
	if errs[0] != ErrDeadline || errs[1] != ErrDeadline || answers[2].Verdict.Remaining != 1 || answers[3].Verdict.Remaining != memorySize+1 || c.debits[2]+c.debits[3] != 0 {
		t.Errorf("%+v, %v, debited %v", answers, errs, c.debits)
	}
}

// An asker may lie about its numbers as it likes: it fools itself alone.
func TestLiesAboutNumbers(t *testing.T) {
	c := &till{}
	liar, honest := session{decider: decider{handler: c}, memory: new(memory), buffers: new(pool)}, session{decider: decider{handler: c}, memory: new(memory), buffers: new(pool)}
	for _, first := range []uint64{0, 1<<64 - 1, 1<<64 - 2, 1 << 63, 1, 0} {
		out, err := liar.answer(asked(t, first, 1, 2, 3))
		told(t, out, err)
	}
	out, err := honest.answer(asked(t, 1, 9))
	if _, errs := told(t, out, err); errs[0] != nil || c.debits[9] != 1 {
		t.Errorf("another's hit: %v, debited %v", errs[0], c.debits)
	}
}

func TestDecideOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &till{}
		s := NewServer(c, Hello{Boot: 2}, nil)
		defer s.Close()
		one := s.senders.join(1)
		defer s.senders.leave(1, one)
		stream := session{decider: decider{handler: c}, memory: &one.memory, buffers: new(pool)}
		viaStream := func(number uint64) (Answer, error) {
			out, err := stream.answer(asked(t, number, int(number)))
			answers, errs := told(t, out, err)
			answers[0].Number = number
			return answers[0], errs[0]
		}
		viaPeer := func(number uint64) (Answer, error) { return s.DecideOnce(1, number, hit(int(number)), 0) }
		for number, ways := range [][]func(uint64) (Answer, error){1: {viaStream, viaPeer, viaStream}, 2: {viaPeer, viaStream, viaPeer}, 3: {viaPeer, viaPeer}} {
			var before Answer
			for i, way := range ways {
				a, err := way(uint64(number))
				if err != nil || i > 0 && a != before || a.Number != uint64(number) {
					t.Errorf("hit %d, time %d: %+v, %v, before %+v", number, i, a, err, before)
				}
				before = a
			}
		}
		if c.total != 3 || len(c.debits) != 3 {
			t.Errorf("debited %v", c.debits)
		}
		for n := range uint64(memorySize) {
			_, _ = viaStream(1000 + n)
		}
		if _, err := viaPeer(5); err != ErrForgotten || c.debits[5] != 0 {
			t.Errorf("forgotten: %v", err)
		}
		if a, err := s.DecideOnce(99, 5, hit(100), 0); err != nil || a.Number != 5 || c.debits[100] != 1 {
			t.Errorf("of a boot that was never heard of: %+v, %v", a, err)
		}
		for range 2 { // never sent, so never debited
			if a, err := s.DecideOnce(1, 0, hit(200), 0); err != nil || a.Number != 0 {
				t.Errorf("without a number: %+v, %v", a, err)
			}
		}
		c.notHere = true
		if a, err := viaPeer(9000); err != nil || !a.NotHeld || a.Hint != 7 {
			t.Errorf("not held: %+v, %v", a, err)
		}
		c.notHere = false
		if a, err := viaStream(9000); err != nil || a.NotHeld || c.debits[9000] != 1 {
			t.Errorf("held at last: %+v, %v", a, err)
		}
	})
}

// Whoever comes first, a hit is debited once.
func TestDecideOnceAtTheSameTime(t *testing.T) {
	c := &till{}
	s := NewServer(c, Hello{Boot: 2}, nil)
	defer s.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range uint64(500) {
				if _, err := s.DecideOnce(1, n+1, hit(int(n)), 0); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			one := s.senders.join(1)
			defer s.senders.leave(1, one)
			stream := session{decider: decider{handler: c}, memory: &one.memory, buffers: new(pool)}
			for n := range 500 {
				out, err := stream.answer(asked(t, uint64(n)+1, n))
				told(t, out, err)
			}
		})
	}
	wg.Wait()
	for n, debits := range c.debits {
		if debits != 1 {
			t.Errorf("hit %d was debited %d times", n, debits)
		}
	}
	if c.total != 500 {
		t.Errorf("%d debits", c.total)
	}
}
