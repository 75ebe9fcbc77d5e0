package bucket_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// lender is a store that lends tokens of one key.
type lender struct {
	t     *testing.T
	store *bucket.Store
	rule  *bucket.Rule
	held  atomic.Int64
	seq   uint64
}

var leasedKey = bucket.Digest{Hi: 5 << 52, Lo: 77}

func newLender(t *testing.T, limits string) *lender {
	l := &lender{t: t, store: newStore(), rule: bucket.MustRule("r", limits)}
	l.held.Store(1)
	return l
}

func (l *lender) send(a bucket.Ask, now int64) bucket.Answer {
	l.t.Helper()
	answer, ok := l.store.AskHeld(&l.held, l.rule, leasedKey, a, now, 1)
	if !ok {
		l.t.Fatal("the token isn't here")
	}
	return answer
}

// ask makes a peer's next statement.
func (l *lender) ask(peer uint64, have, back, want, now int64) bucket.Answer {
	l.t.Helper()
	l.seq++
	return l.send(bucket.Ask{Peer: peer, Seq: l.seq, Have: have, Back: back, Want: want}, now)
}

func (l *lender) take(n, now int64) bucket.Verdict {
	return l.store.TakeDigest(l.rule, leasedKey, n, now)
}

func (l *lender) left(now int64) int64 {
	return l.store.PeekDigest(l.rule, leasedKey, 0, now).Remaining
}

// want compares what is left and what is lent.
func (l *lender) want(what string, left, lent, now int64) {
	l.t.Helper()
	got := l.left(now)
	if _, out := l.store.Leases(); got != left || out != lent {
		l.t.Errorf("%s: %d left and %d lent, want %d and %d", what, got, out, left, lent)
	}
}

const msec = int64(time.Millisecond)

func TestLentTokensLowerTheCapacity(t *testing.T) {
	l := newLender(t, "1000/second") // T is 100 ms
	a := l.ask(2, 0, 0, 1000, 0)
	if a.Grant != 250 || a.Keep != 0 || a.Left != 750 || a.Term != 96875*time.Microsecond || a.Seq != 1 {
		t.Fatalf("a quarter may be out: %+v", a)
	}
	if a.Hold != 0 {
		t.Errorf("%v to hold, though what isn't lent is there", a.Hold)
	}
	if b := l.ask(3, 0, 0, 1000, 0); b.Grant != 0 || b.Hold < 18750*time.Microsecond || b.Hold > 31250*time.Microsecond {
		t.Errorf("more is wanted than there is, and %v to hold; want 25 ms and a quarter either way", b.Hold)
	}
	l.want("just lent", 750, 250, 0)
	l.want("in the last nanosecond", 750, 250, 125*msec-1)
	l.want("when it has ended, capacity is back and tokens aren't", 750, 0, 125*msec)
	l.want("a token later", 751, 0, 126*msec)
	l.want("full again", 1000, 0, 375*msec)
}

// The smallest case of leases.md, §2.4: what is spent in the last nanosecond is not
// admitted once more by what came back meanwhile.
func TestTheLastNanosecondOfALease(t *testing.T) {
	l := newLender(t, "1000/second")
	a := l.ask(2, 0, 0, 1000, 0)
	spent, now := a.Grant, int64(a.Term)-1
	for range 1000 {
		if l.take(1, now).Allowed {
			spent++
		}
	}
	if spent != 1000 {
		t.Errorf("%d passed at once, of 1000", spent)
	}
}

func TestWhatIsGivenBack(t *testing.T) {
	for _, tt := range []struct {
		what             string
		have, back, at   int64
		left, lent, keep int64
	}{
		{"all at once", 0, 250, 0, 1000, 0, 0},
		{"some at once", 100, 150, 0, 900, 100, 100},
		{"nothing, as all is spent", 0, 0, 0, 750, 0, 0},
		{"more than there was", 0, 1 << 60, 0, 1000, 0, 0},
		{"more than there was, besides what it keeps", 240, 1 << 60, 0, 760, 240, 240},
		{"it keeps more than there was", 1 << 60, 1 << 60, 0, 750, 250, 250},
		{"what is negative", -5, -1 << 63, 0, 750, 0, 0},
		{"just in time", 0, 250, 125*msec - 1, 1000, 0, 0},
		{"when it has run out", 0, 250, 125 * msec, 750, 0, 0},
		{"later", 0, 250, 200 * msec, 825, 0, 0},
		{"it keeps what has run out", 250, 0, 200 * msec, 825, 0, 0},
	} {
		l := newLender(t, "1000/second")
		l.ask(2, 0, 0, 1000, 0)
		if a := l.ask(2, tt.have, tt.back, 0, tt.at); a.Keep != tt.keep || a.Grant != 0 || a.Seq > 0 && a.Left != tt.left {
			t.Errorf("%s: %+v", tt.what, a)
		}
		l.want(tt.what, tt.left, tt.lent, tt.at)
	}
}

func TestStatementsThatAreLateOrRepeated(t *testing.T) {
	l := newLender(t, "1000/second")
	ask := bucket.Ask{Peer: 2, Seq: 7, Want: 50}
	l.send(ask, 0)
	l.want("once", 950, 50, 0)
	if a := l.send(ask, 0); a.Seq != 0 || a.Grant != 0 || !a.Hot {
		t.Errorf("repeated: %+v", a)
	}
	if a := l.send(bucket.Ask{Peer: 2, Seq: 6, Back: 50, Want: 50, Tokens: 1}, 0); a.Seq != 0 || a.Grant != 0 || !a.Allowed {
		t.Errorf("older, and its hit counts: %+v", a)
	}
	l.want("repeated and older", 949, 50, 0)

	l.send(bucket.Ask{Peer: 2, Seq: 8, Want: 60}, 0) // the answer before was lost
	l.want("lost: capacity is back, tokens aren't", 889, 60, 0)
	l.want("and as the floor is lower now, they come back", 890, 60, msec)

	l.send(bucket.Ask{Peer: 2, Seq: 7, Want: 50}, 130*msec) // all has run out, and this is anybody's
	l.want("a repeated statement that nobody remembers strands what it gets", 895, 50, 130*msec)
	l.send(bucket.Ask{Peer: 2, Seq: 9, Want: 0}, 130*msec)
	l.want("until the next", 895, 0, 130*msec)
}

// A renewal that wants nothing goes on with what it keeps.
func TestRenewalsThatWantNothing(t *testing.T) {
	l := newLender(t, "1000/second")
	l.ask(2, 0, 0, 200, 0)
	for now := int64(0); now < 1000*msec; now += 100 * msec {
		if a := l.ask(2, 200, 0, 0, now); a.Keep != 200 || a.Term != 96875*time.Microsecond || a.Hold != 0 {
			t.Fatalf("at %d: %+v", now, a)
		}
	}
	l.want("kept", 800, 200, 1024*msec)
}

// Leases that end in another order than they began, and two between two hits: what
// comes back is the same as if somebody had looked all the time.
func TestLeasesEndInTheirOrder(t *testing.T) {
	var lenders [2]*lender
	for i := range lenders {
		l := newLender(t, "1000/second")
		l.ask(2, 0, 0, 40, 0)
		l.ask(3, 0, 0, 80, 10*msec)
		l.ask(4, 0, 0, 60, 20*msec)
		l.ask(2, 40, 0, 0, 30*msec) // so 3, 4, 2 end at 135, 145 and 155
		lenders[i] = l
	}
	seldom, often := lenders[0], lenders[1]
	for _, at := range []struct{ now, left int64 }{
		{30 * msec, 820}, {134 * msec, 820}, {135 * msec, 820}, {140 * msec, 825}, {145 * msec, 830}, {150 * msec, 835}, {155 * msec, 840}, {200 * msec, 885},
	} {
		if got := often.left(at.now); got != at.left {
			t.Errorf("%d left at %d ms, want %d", got, at.now/msec, at.left)
		}
		often.store.Sweep(at.now, 1<<20)
	}
	if got := seldom.left(200 * msec); got != 885 {
		t.Errorf("%d left if nobody has looked, want 885", got)
	}
}

// More than what isn't lent has to wait for the leases, and is told how long.
func TestWaitingForLeases(t *testing.T) {
	l := newLender(t, "1000/second")
	l.ask(2, 0, 0, 50, 0)
	l.ask(3, 0, 0, 100, 5*msec)
	for _, tt := range []struct{ n, wait int64 }{
		{850, 0},
		{851, 121 * msec},      // at 125 ms 50 are lent no more, and a token later is back
		{900, 125*msec + 45e6}, // not before 130 ms, when 855 are there
		{1000, 125*msec + 145e6},
		{1001, int64(never)},
	} {
		if v := l.store.PeekDigest(l.rule, leasedKey, tt.n, 5*msec); int64(v.RetryAfter) != tt.wait {
			t.Errorf("%d have to wait %v, want %v", tt.n, v.RetryAfter, time.Duration(tt.wait))
		}
		if due := 5*msec + tt.wait; tt.wait > 0 && tt.wait < int64(never) {
			if l.store.PeekDigest(l.rule, leasedKey, tt.n, due-1).Allowed {
				t.Errorf("%d pass a nanosecond early", tt.n)
			}
		}
	}
}

func TestLeasesOfAWindow(t *testing.T) {
	l := newLender(t, "1000/second fixed aligned")
	a := l.ask(2, 0, 0, 1000, 900*msec)
	if a.Grant != 250 || a.Term != time.Duration((100*msec-1)/32*31) {
		t.Fatalf("a lease ends before the window does: %+v", a)
	}
	l.want("lent", 750, 250, 1000*msec-2)
	l.want("the next window is whole", 1000, 0, 1000*msec)
	l.ask(2, 0, 250, 0, 1000*msec)
	l.want("and nothing comes back to it", 1000, 0, 1000*msec)
	l.ask(2, 0, 0, 100, 1100*msec)
	l.ask(2, 0, 60, 0, 1101*msec)
	l.want("some came back in time", 960, 0, 1101*msec)
	if a := l.ask(2, 0, 0, 100, 1991*msec); a.Grant != 0 || a.Hold != 0 || a.Left != 960 {
		t.Errorf("the last 10 ms aren't leased: %+v", a)
	}
}

// What is lent is charged to every limit, and lowers every capacity.
func TestLeasesUnderSeveralLimits(t *testing.T) {
	l := newLender(t, "100/second; 1000/10 seconds burst 200; 3000/minute fixed")
	if a := l.ask(2, 0, 0, 90, 0); a.Grant != 25 || a.Left != 75 {
		t.Fatalf("a quarter of the smallest: %+v", a)
	}
	rules := []*bucket.Rule{bucket.MustRule("r", "100/second"), bucket.MustRule("r", "1000/10 seconds burst 200; 3000/minute fixed")}
	for i, want := range []int64{75, 175} {
		if v := l.store.PeekDigest(rules[i], leasedKey, 0, 100*msec); v.Remaining != want && i == 0 {
			t.Errorf("%d left under %v, want %d", v.Remaining, rules[i], want)
		}
	}
	l.take(75, 0)
	if a := l.ask(3, 0, 0, 25, 0); a.Grant != 0 || a.Left != 0 || a.Hold == 0 {
		t.Errorf("nothing is left of one: %+v", a)
	}
}

// Of a limit that gives little back nothing is lent near its end, so that all of it can
// be had there: nobody is told to wait, and every hit is the holder's to decide.
func TestASlowLimitIsLentWhileThereIsPlenty(t *testing.T) {
	l := newLender(t, "2000/hour")
	if a := l.ask(2, 0, 0, 400, 0); a.Grant != 400 || a.Left != 1600 {
		t.Fatalf("plenty: %+v", a)
	}
	if a := l.ask(2, 0, 400, 0, msec); a.Keep != 0 || a.Left != 2000 {
		t.Fatalf("given back: %+v", a)
	}
	l.take(1749, 2*msec)
	if a := l.ask(2, 0, 0, 1, 3*msec); a.Grant != 1 || a.Left != 250 {
		t.Errorf("the last that is lent: %+v", a)
	}
	if a := l.ask(2, 1, 0, 10, 4*msec); a.Grant != 0 || a.Hold != 0 || a.Keep != 1 {
		t.Errorf("an eighth: %+v", a)
	}
	l.take(250, 5*msec)
}

// The limit changes while tokens are lent: they are as many tokens under the other.
func TestLimitsChangeWhileTokensAreLent(t *testing.T) {
	l := newLender(t, "a = 1000/second")
	l.ask(2, 0, 0, 250, 0)
	l.rule = bucket.MustRule("r", "a = 2000/second burst 500")
	l.want("expressed", 250, 250, 0)
	l.want("the floor has other numbers", 250, 250, 124*msec)
	l.rule = bucket.MustRule("r", "a = 100/second")
	l.want("more is lent than there can be", 0, 250, 124*msec)
	l.take(1, 125*msec)
	l.want("and then all of it comes back", 0, 0, 125*msec)
	l.want("as it does", 0, 0, 1625*msec)
	l.want("until it is whole", 100, 0, 2625*msec)
	l.rule = bucket.MustRule("r", "a = 1000/second fixed")
	l.ask(2, 0, 0, 250, 3000*msec)
	l.rule = newRule(t, "r", bucket.Limit{Name: "a", Algorithm: bucket.FixedWindow, Count: 500, Per: 50 * time.Millisecond})
	l.want("a shorter window, in which they may be spent", 250, 250, 3049*msec)
	l.want("and the next", 250, 250, 3060*msec)
	l.take(1, 3060*msec)
	l.want("and its end", 249, 250, 3109*msec)
	l.want("and the one after", 250, 250, 3110*msec)
	l.rule = bucket.MustRule("r", "a = 0/second")
	l.want("nothing may pass", 0, 250, 3109*msec)
}

func TestResetKeepsWhatIsLent(t *testing.T) {
	for _, limit := range []string{"1000/second", "1000/second fixed"} {
		l := newLender(t, limit)
		l.ask(2, 0, 0, 250, 0)
		l.take(500, 0)
		if !l.store.ResetDigest(l.rule, leasedKey, 10*msec) {
			t.Error("there was something to forget")
		}
		l.want(limit+": reset", 750, 250, 10*msec)
		l.store.ResetDigest(l.rule, leasedKey, 150*msec)
		l.want(limit+": reset when the lease has ended", 1000, 0, 150*msec)
	}
}

// A key becomes hot by ten hits of one peer within 100 ms, and only then gets a lease
// if it says that it wants one.
func TestHotKeys(t *testing.T) {
	l := newLender(t, "1000/second")
	for i := range int64(20) {
		now := i * 9 * msec
		for peer := uint64(2); peer < 4; peer++ {
			if peer == 3 && i%2 == 0 {
				continue
			}
			a := l.send(bucket.Ask{Peer: peer, Tokens: 1}, now)
			if want := peer == 2 && (i >= 9 && i < 12 || i >= 21); a.Hot != want || a.Leased || a.Seq != 0 || !a.Allowed {
				t.Errorf("hit %d of %d: %+v", i, peer, a)
			}
		}
	}
	l.want("nobody has asked for a lease", 1000, 0, 1000*msec)
	for i := range 30 {
		if a := l.send(bucket.Ask{Peer: 1, Own: true, Tokens: 1}, 1000*msec); a.Hot {
			t.Errorf("own hit %d makes a key hot", i)
		}
	}
}

// The owner leases as others do, while others do.
func TestTheOwnersLease(t *testing.T) {
	l := newLender(t, "1000/second")
	own := func(have, back, want, now int64) bucket.Answer {
		l.seq++
		return l.send(bucket.Ask{Peer: 1, Own: true, Seq: l.seq, Have: have, Back: back, Want: want}, now)
	}
	if a := own(0, 0, 100, 0); a.Grant != 0 || a.Hot || a.Leased || a.Seq != 0 {
		t.Errorf("nobody else has one: %+v", a)
	}
	l.ask(2, 0, 0, 100, 0)
	if v := l.take(1, 0); !v.Leased {
		t.Errorf("a hit that should know: %+v", v)
	}
	if a := own(0, 0, 100, 0); a.Grant != 100 || !a.Hot || !a.Leased {
		t.Errorf("somebody else has one: %+v", a)
	}
	if a := own(100, 0, 100, 130*msec-1); a.Keep != 0 || a.Hot || a.Grant != 0 {
		t.Errorf("all have run out: %+v", a)
	}
	l.ask(2, 0, 0, 100, 200*msec)
	own(0, 0, 50, 210*msec)
	if a := own(50, 0, 100, 330*msec); a.Keep != 50 || a.Hot || a.Grant != 0 || a.Hold != 0 || a.Leased {
		t.Errorf("only it has one: %+v", a)
	}
	if v := l.take(1, 330*msec); v.Leased {
		t.Errorf("a hit that may go to the store: %+v", v)
	}
}
