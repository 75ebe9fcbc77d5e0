package cluster

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// borrower is a lease of 1000/second, whose term is 100 ms.
type borrower struct {
	*testing.T
	*lease
	seq uint64
}

func newBorrower(t *testing.T) *borrower {
	return &borrower{T: t, lease: newLease(bucket.MustRule("api", "1000/second"), 0)}
}

// anything is no particular number.
const anything = -1

// say makes a statement, and wants it to be this.
func (b *borrower) say(at, have, back, want int64) uint64 {
	b.Helper()
	b.seq++
	if s := b.state(b.seq, false, at*millisecond); s.Seq != b.seq || s.Have != have || s.Back != back || want != anything && s.Want != want {
		b.Errorf("at %d ms: %+v, want %d, %d, %d", at, s, have, back, want)
	}
	return b.seq
}

// told hears an answer.
func (b *borrower) told(at int64, seq uint64, keep, grant int64, hold time.Duration) {
	b.hear(seq, &transport.Answer{Hot: true, Grant: transport.Grant{Seq: seq, Keep: keep, Grant: grant, Term: 96 * time.Millisecond, Hold: hold}}, at*millisecond)
}

func (b *borrower) takes(at, n int64, want bool) {
	b.Helper()
	if _, ok := b.spend(n, at*millisecond); ok != want {
		b.Errorf("%d tokens at %d ms: %v, want %v; %d are there until %v", n, at, ok, want, b.tokens.Load(), time.Duration(b.expires.Load()))
	}
}

// A lease counts from the statement, and what is left when it is over goes back.
func TestALeaseEnds(t *testing.T) {
	b := newBorrower(t)
	b.takes(0, 1, false)
	b.miss(10)
	seq := b.say(10, 0, 0, 52) // 1 a ms for the lead, half a half term and the way there
	b.told(20, seq, 0, 30, 0)
	b.takes(20, 31, false)
	b.takes(20, 10, true)
	b.takes(105, 10, true)
	b.takes(106, 1, false) // 96 ms from the statement
	b.told(106, seq, 0, 30, 0)
	b.takes(106, 1, false) // an answer counts once
	seq = b.say(107, 0, 10, anything)
	b.told(108, seq, 0, 5, 0)
	b.takes(108, 5, true)
	b.takes(108, 1, false)
}

// Where few are wanted no question is asked ahead, and what has expired is given back by
// the next hit if it comes soon.
func TestASlowLeaseCostsNoMessagesOfItsOwn(t *testing.T) {
	b := newBorrower(t)
	b.miss(8)
	b.told(41, b.say(40, 0, 0, 11), 0, 11, 0) // 0.2 a ms
	b.takes(60, 10, true)
	if b.runsLow(1, 60*millisecond) || b.runsLow(0, 135*millisecond) {
		t.Error("5 are wanted in the time that a question takes")
	}
	for _, at := range []int64{65, 90, 115, 140} {
		if giveBack, cool := b.sweep(at*millisecond, coolRate); giveBack != (at == 140) || cool {
			t.Errorf("at %d ms: given back %t, no longer worth it %t", at, giveBack, cool)
		}
	}
	b.miss(1)
	b.say(141, 0, 1, anything)
	b = newBorrower(t)
	b.miss(32)
	b.told(101, b.say(100, 0, 0, 17), 0, 17, 0)
	if !b.runsLow(8, 110*millisecond) || b.runsLow(9, 110*millisecond) {
		t.Error("8 are, of which the last asks")
	}
}

// Only the answer to the latest statement counts, and it says how much of what was
// there before lives on.
func TestOldAnswersAreNotHeard(t *testing.T) {
	b := newBorrower(t)
	b.miss(100)
	first := b.say(10, 0, 0, 511)
	second := b.say(20, 0, 0, 1) // the first got lost, as it seems
	b.told(21, first, 0, 50, 0)
	b.takes(21, 1, false)
	b.told(22, second, 0, 40, 0)
	b.takes(22, 40, true)

	b.told(22, b.say(23, 0, 0, anything), 0, 60, 0)
	third := b.say(24, 60, 0, 0)
	b.takes(25, 10, true)
	b.told(26, third, 45, 5, 0) // of 50 the holder knows 45
	b.takes(26, 51, false)
	b.takes(26, 50, true)
}

// What was kept beyond its time lives on only if the holder says so.
func TestWhatHasRunOutDoesNotComeBack(t *testing.T) {
	b := newBorrower(t)
	b.miss(100)
	b.told(20, b.say(10, 0, 0, 511), 0, 50, 0)
	seq := b.say(30, 50, 0, 0)
	if b.tokens.Load() != 50 || b.level != 50 {
		t.Fatal(b.tokens.Load(), b.level)
	}
	b.told(110, seq, 0, 3, 0) // the holder's record ended before the statement came
	b.takes(111, 4, false)
	b.takes(111, 3, true)
}

// The pooled return: what has run out is given back with the next statement, and not
// with a later one, which may be about another lease.
func TestNothingIsGivenBackLate(t *testing.T) {
	b := newBorrower(t)
	b.miss(100)
	b.told(11, b.say(10, 0, 0, 511), 0, 50, 0)
	lost := b.say(200, 0, 50, 1) // the holder's record has ended
	b.lost(lost)
	b.told(301, b.say(300, 0, 0, 1), 0, 50, 0)
	b.takes(301, 50, true)
	b.told(310, b.say(309, 0, 0, anything), 0, 0, 0)
}

// While tokens are scarce what isn't here is refused, until somebody may ask again;
// and then all but the one who does.
func TestScarceTokensAreNotAskedForAllTheTime(t *testing.T) {
	b := newBorrower(t)
	var v bucket.Verdict
	b.miss(100)
	b.told(11, b.say(10, 0, 0, 511), 0, 50, 25*time.Millisecond)
	b.takes(12, 50, true)
	for at, want := range map[int64]bool{12: true, 34: true, 35: false, 80: false} {
		if refused := b.refuses(1, at*millisecond, &v); refused != want || refused && v.RetryAfter <= 0 {
			t.Errorf("at %d ms: %v, %+v", at, refused, v)
		}
		if claimed := b.claim(at * millisecond); claimed == want {
			t.Errorf("at %d ms: claimed %v", at, claimed)
		}
		b.asking.Store(false)
	}
	if !b.claim(36*millisecond) || !b.refuses(1, 36*millisecond, &v) || b.claim(37*millisecond) {
		t.Error("while one asks others don't")
	}
	b.lost(b.say(36, 0, 0, anything))
	b.asking.Store(false)
	if b.refuses(1, 38*millisecond, &v) {
		t.Error("nobody answers, and others aren't asked")
	}
}

// A hit is taken back as long as the holder doesn't know of it.
func TestUnspend(t *testing.T) {
	b := newBorrower(t)
	b.miss(100)
	first := b.say(10, 0, 0, 511)
	b.told(11, first, 0, 50, 0)
	b.takes(12, 20, true)
	if !b.unspend(15, first, 13*millisecond) || b.unspend(6, first, 13*millisecond) || b.tokens.Load() != 45 {
		t.Errorf("%d tokens", b.tokens.Load())
	}
	second := b.say(20, 45, 0, 0)
	b.takes(21, 5, true)
	if b.unspend(5, first, 21*millisecond) || !b.unspend(5, second, 21*millisecond) {
		t.Error("the holder knows, or doesn't")
	}
	b.takes(22, 5, true)
	b.told(23, second, 42, 0, 0) // it had less than that for lent
	if b.unspend(3, second, 24*millisecond) || !b.unspend(2, second, 24*millisecond) {
		t.Errorf("%d tokens of 42", b.tokens.Load())
	}
	b.takes(25, 2, true)
	b.ended = true
	if !b.unspend(1, second, 25*millisecond) {
		t.Error("it is to be given back, and isn't yet")
	}
	if b.unspend(1, second, 300*millisecond) {
		t.Error("after the end")
	}
	if last := b.end(3); last.Back != b.ceiling-1 || b.unspend(1, second, 26*millisecond) {
		t.Errorf("it was given back: %+v", last)
	}
}

// Of the hits that are taken back the first has the lease of their key ended; the
// others, which were spent from it too, are given back with it.
func TestRefundsOfManyAtOnce(t *testing.T) {
	table, h := newHotKeys(), transport.Hit{Digest: bucket.Digest{Hi: 1}, Rule: bucket.MustRule("api", "1000/second"), Tokens: 2}
	table.warm(&h, 0)
	k := table.find(h.Digest)
	b := borrower{T: t, lease: k.lease.Load()}
	b.told(1, b.say(1, 0, 0, anything), 0, 50, 0)
	var spent [5]bucket.Verdict
	for i := range spent {
		if by, ok := table.decide(k, &question{rule: h.Rule, tokens: h.Tokens}, 2*millisecond, &spent[i]); !ok || by != PathLeased {
			t.Fatalf("hit %d: %v", i, by)
		}
	}
	for i := range spent {
		table.unspend(h.Digest, &spent[i].Receipt, 3*millisecond)
		table.refund(h.Digest, h.Rule, taking, 3*millisecond)
	}
	if left := table.close(); len(left) != 1 || left[0].Statement.Back != 50 {
		t.Errorf("%+v", left)
	}
}

// Spending, asking, answering, giving back and taking back at once neither make tokens
// nor lose anything: what is spent, what is still there and what went back is what was lent.
func TestALeaseConservesTokens(t *testing.T) {
	b := newBorrower(t)
	var mu sync.Mutex // the owner's, and hotKey.mu
	var spent, lent, returned atomic.Int64
	var spenders, others sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		spenders.Go(func() {
			for i := int64(0); spent.Load() < 1_000_000; i++ {
				n := 1 + i%3
				seq := b.lease.seq.Load()
				if _, ok := b.spend(n, 1); !ok {
					runtime.Gosched()
					continue
				}
				if spent.Add(n); i%5 == 0 {
					mu.Lock()
					if b.unspend(n, seq, 1) {
						spent.Add(-n)
					}
					mu.Unlock()
				}
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			mu.Lock()
			b.seq++
			s := b.state(b.seq, b.seq%7 == 0, 1)
			mu.Unlock()
			mu.Lock()
			returned.Add(s.Back)
			grant := int64(b.seq % 5000)
			lent.Add(grant)
			b.told(0, s.Seq, s.Have, grant, 0)
			b.expires.Store(1 << 40)
			mu.Unlock()
		}
	})
	spenders.Wait()
	close(done)
	others.Wait()
	if sum := spent.Load() + returned.Load() + b.tokens.Load(); sum != lent.Load() || b.tokens.Load() < 0 {
		t.Errorf("%d spent, %d given back, %d left, of %d lent", spent.Load(), returned.Load(), b.tokens.Load(), lent.Load())
	}
}

// Over a slow link nothing is asked for, until it is quick again.
func TestSlowLinksAreNotWorthIt(t *testing.T) {
	b := newBorrower(t)
	at := int64(0)
	ask := func(took int64) (want int64) {
		b.seq++
		b.miss(100)
		s := b.state(b.seq, false, at*millisecond)
		at += took
		b.hear(b.seq, &transport.Answer{Hot: true}, at*millisecond)
		return s.Want
	}
	for range 10 {
		ask(100)
	}
	if want := ask(100); want != 0 {
		t.Errorf("%d wanted, of which nothing could be spent", want)
	}
	for range 10 {
		ask(1)
	}
	if want := ask(1); want == 0 {
		t.Error("nothing wanted though the link is quick")
	}
}
