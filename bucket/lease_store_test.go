package bucket_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func TestLeaseTerm(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1000/second":                          100 * time.Millisecond,
		"1000/second burst 500":                62500 * time.Microsecond,
		"1000/second burst 320":                40 * time.Millisecond,
		"1000/second burst 319":                0,
		"1000/second burst 79":                 0,
		"1000/hour":                            0,
		"2000/hour":                            100 * time.Millisecond,
		"100/minute":                           0,
		"20/second":                            100 * time.Millisecond,
		"19/second":                            0,
		"1000/second; 100/second burst 40":     50 * time.Millisecond,
		"1000/second; 100/second burst 2":      0,
		"1000/second fixed aligned":            100 * time.Millisecond,
		"2000/month calendar in Europe/Berlin": 100 * time.Millisecond,
		"1000/second; 1000/hour fixed":         0,
		"1000/second; 100000/hour fixed":       100 * time.Millisecond,
		"1000/second; 0/hour":                  0,
		"1000/second leaky":                    0,
		"1000/second sliding":                  0,
		"1000/second; 100/second log":          0,
		"1000/second; penalty 20/hour":         0,
		"2 concurrent":                         0,
	} {
		rule := bucket.MustRule("r", text)
		if got := rule.LeaseTerm(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	short := newRule(t, "r", bucket.Limit{Algorithm: bucket.FixedWindow, Count: 1000, Per: 79 * time.Millisecond})
	if got := short.LeaseTerm(); got != 0 {
		t.Errorf("a short window: %v, want 0", got)
	}
}

// Nothing is lent under a rule that can't be leased, nor while replicas divide it.
func TestWhatIsNotLeased(t *testing.T) {
	for _, text := range []string{"1000/second burst 79", "1000/second leaky", "1000/second; penalty 20/hour"} {
		l := newLender(t, text)
		for i := range int64(20) {
			a := l.send(bucket.Ask{Peer: 2, Seq: uint64(i + 1), Want: 10, Tokens: 1}, 0)
			if a.Hot || a.Seq != 0 || a.Grant != 0 || !a.Allowed || l.store.Heat(l.rule, leasedKey, 2, 20, 0) {
				t.Fatalf("%s: %+v", text, a)
			}
		}
	}
	l := newLender(t, "1000/second")
	a, ok := l.store.AskHeld(&l.held, l.rule, leasedKey, bucket.Ask{Peer: 2, Seq: 1, Want: 10, Tokens: 1}, 0, 2)
	if a.Seq != 0 || a.Grant != 0 || a.Remaining != 499 || !ok {
		t.Errorf("divided between two: %+v, %t", a, ok)
	}
	if a := l.send(bucket.Ask{Peer: 2, Seq: 1, Want: 10, Tokens: -1}, 0); a.Allowed || a.RetryAfter != never || a.Seq != 0 {
		t.Errorf("a negative cost: %+v", a)
	}
	l.held.Store(0)
	if a, ok := l.store.AskHeld(&l.held, l.rule, leasedKey, bucket.Ask{Peer: 2, Seq: 1, Want: 10, Tokens: 1}, 0, 1); ok || a != (bucket.Answer{}) {
		t.Errorf("the token is gone: %+v", a)
	}
}

// Hits are counted by peer, for 100 ms each.
func TestHeat(t *testing.T) {
	l := newLender(t, "1000/second")
	heat := func(peer uint64, hits int, now int64) bool { return l.store.Heat(l.rule, leasedKey, peer, hits, now) }
	if heat(2, 9, 0) || !heat(2, 1, 99*msec) || heat(3, 9, 99*msec) || heat(2, 9, 200*msec) || !heat(4, 10, 200*msec) {
		t.Error("ten hits of one peer within 100 ms make a key hot")
	}
	if heat(2, 1<<40, 300*msec); !heat(2, 1, 310*msec) {
		t.Error("however many there are")
	}
}

// Of many keys that are just hot enough a few are offered a lease at a time; those that
// are twice as hot all are.
func TestLeasesAreOfferedToAFew(t *testing.T) {
	l := newLender(t, "1000/second")
	offered := func(hits int, now int64) (keys int) {
		for key := range uint64(400) {
			if l.store.Heat(l.rule, bucket.Digest{Hi: key << 52, Lo: key << 20}, 2, hits, now) {
				keys++
			}
		}
		return keys
	}
	if first, same, next := offered(10, 0), offered(1, 99*msec), offered(10, 200*msec); first != 32 || same != 32 || next != 32 {
		t.Errorf("%d keys are offered a lease, %d before 100 ms are over and %d after, want the same 32 and then 32", first, same, next)
	}
	if all := offered(10, 210*msec); all < 350 { // but for those that share a place
		t.Errorf("%d of 400 keys that are twice as hot", all)
	}
}

// Neither what can't be leased nor a key that goes on being hit takes the offers of others.
func TestWhoTakesAnOffer(t *testing.T) {
	for _, tt := range []struct {
		limit string
		left  int
	}{{"100/minute", 32}, {"1000/second", 28}} {
		l, rule := newLender(t, "1000/second"), bucket.MustRule("other", tt.limit)
		key := func(i uint64) bucket.Digest { return bucket.Digest{Hi: i << 52, Lo: i << 20} }
		for i := range uint64(4) {
			for hits := range 19 {
				if hot := l.store.Heat(rule, key(i), 2, 1, 0); hot != (rule.LeaseTerm() > 0 && hits >= 9) {
					t.Errorf("%s: hit %d of key %d: hot is %t", tt.limit, hits, i, hot)
				}
			}
		}
		left := 0
		for i := range uint64(40) {
			if l.store.Heat(l.rule, key(100+i), 2, 10, 50*msec) {
				left++
			}
		}
		if left != tt.left {
			t.Errorf("after four keys of %s, each hit 19 times, %d others are offered a lease, want %d", tt.limit, left, tt.left)
		}
	}
}

// While many keys are leased, one must be twice as hot to become another.
func TestHeatWhileManyAreLeased(t *testing.T) {
	l := newLender(t, "1000/second")
	for key := range uint64(32) {
		d := bucket.Digest{Hi: key << 52, Lo: key}
		if !l.store.Heat(l.rule, d, 2, 10, 0) {
			t.Fatalf("key %d isn't hot", key)
		}
		l.store.AskHeld(&l.held, l.rule, d, bucket.Ask{Peer: 2, Seq: key + 1, Want: 10}, 0, 1)
	}
	another := bucket.Digest{Hi: 5 << 52, Lo: 1 << 20}
	if l.store.Heat(l.rule, another, 2, 19, 0) || !l.store.Heat(l.rule, another, 2, 1, 0) {
		t.Error("twenty hits are needed now")
	}
	l.store.Sweep(time.Hour.Nanoseconds(), 1<<20)
	l.store.Drop(31)
	for key := range uint64(32) {
		l.store.TakeDigest(l.rule, bucket.Digest{Hi: key << 52, Lo: key}, 1, time.Hour.Nanoseconds())
	}
	if keys, _ := l.store.Leases(); keys != 0 || !l.store.Heat(l.rule, another, 2, 10, time.Hour.Nanoseconds()) {
		t.Errorf("%d keys are leased still, or ten hits aren't enough again", keys)
	}
}

// Of a shard's keys so many can be leased, and when their leases have ended others can.
func TestLeasesAreBounded(t *testing.T) {
	store, rule, seq := newStore(), bucket.MustRule("r", "1000/second"), uint64(0)
	ask := func(key uint64, now int64) bucket.Answer {
		seq++
		a, _ := store.AskHeld(nil, rule, bucket.Digest{Hi: key, Lo: key}, bucket.Ask{Peer: 2, Seq: seq, Want: 10}, now, 1)
		return a
	}
	for key := range uint64(40) {
		if a := ask(key, 0); (a.Grant == 10) != (key < 32) || a.Hot != (key < 32) {
			t.Errorf("key %d: %+v", key, a)
		}
	}
	if store.Heat(rule, bucket.Digest{Hi: 50}, 2, 20, 0) {
		t.Error("a key is hot although no more can be leased")
	}
	if keys, tokens := store.Leases(); keys != 32 || tokens != 320 {
		t.Errorf("%d keys and %d tokens", keys, tokens)
	}
	if a := ask(50, 124*msec); a.Grant != 0 {
		t.Errorf("too many, still: %+v", a)
	}
	if a := ask(50, 125*msec); a.Grant != 10 {
		t.Errorf("the others have ended: %+v", a)
	}
	a, _ := store.AskHeld(nil, rule, bucket.Digest{Hi: 50, Lo: 51}, bucket.Ask{Peer: 2, Seq: 1 << 40, Want: 10}, 125*msec, 1)
	if a.Seq != 0 || a.Grant != 0 {
		t.Errorf("another key, of the same high half: %+v", a)
	}
	store.Drop(0)
	if keys, tokens := store.Leases(); keys != 0 || tokens != 0 {
		t.Errorf("dropped, but for %d keys and %d tokens", keys, tokens)
	}
	for peer := range uint64(1100) {
		seq++
		a, _ := store.AskHeld(nil, bucket.MustRule("r", "1000000/second"), leasedKey, bucket.Ask{Peer: peer, Seq: seq, Want: 2}, 0, 1)
		if (a.Grant == 2) != (peer < 1024) {
			t.Fatalf("peer %d: %+v", peer, a)
		}
	}
}

// What was lent before the state went away and came back lowers the capacity until
// it has ended, and nobody can give it back.
func TestTheTokenComesBackWhileTokensAreLent(t *testing.T) {
	l := newLender(t, "1000/second")
	l.ask(2, 0, 0, 250, 0)
	l.held.Store(0)
	l.held.Store(50 * msec)
	if a := l.ask(2, 250, 0, 20, 50*msec); a.Keep != 0 || a.Grant != 0 || a.Hold != 0 {
		t.Errorf("a quarter is lent: %+v", a)
	}
	l.want("nothing came back", 750, 250, 124*msec)
	if a := l.ask(2, 0, 250, 20, 125*msec); a.Keep != 0 || a.Grant != 20 {
		t.Errorf("nothing is lent: %+v", a)
	}
	l.want("and still hasn't", 730, 20, 125*msec)
}

// Charges after a grant are paid back sooner when it is given back: a refund credits
// what is owed of them, and not what others owe.
func TestRefundsOfLeasedKeys(t *testing.T) {
	l := newLender(t, "1000/second")
	l.ask(2, 0, 0, 200, 0)
	paid, owed := l.take(100, 0), l.take(10, 0)
	l.ask(2, 0, 200, 0, msec)
	late := l.take(40, 2*msec)
	l.want("before the refunds", 852, 0, 2*msec)
	if l.store.RefundDigest(l.rule, leasedKey, owed.Receipt, 20*msec) {
		t.Error("at most what is owed of 10 tokens, 20 ms later")
	}
	if l.take(50, 102*msec); l.store.RefundDigest(l.rule, leasedKey, paid.Receipt, 102*msec) {
		t.Error("it was all paid back")
	}
	if !l.store.RefundDigest(l.rule, leasedKey, late.Receipt, 102*msec) || l.left(102*msec) != 942 {
		t.Errorf("that was charged after it came back; %d left", l.left(102*msec))
	}
	l.ask(2, 0, 0, 100, 1000*msec)
	hit := l.take(100, 1000*msec)
	if l.store.RefundDigest(l.rule, leasedKey, hit.Receipt, 1000*msec); l.left(1000*msec) != 900 {
		t.Errorf("%d left, where 100 are lent", l.left(1000*msec))
	}
	if l.store.RefundDigest(l.rule, leasedKey, hit.Receipt, 1000*msec); l.left(1000*msec) != 900 {
		t.Errorf("%d left after a second refund, where 100 are lent", l.left(1000*msec))
	}
}

// A store that has no room for other numbers can't change, and strands nothing.
func TestLeasesWithoutRoomForNumbers(t *testing.T) {
	store := bucket.NewStore(bucket.StoreConfig{MaxLimits: 1})
	store.Take(bucket.MustRule("other", "5/hour"), "key", 1, 0)
	rule := bucket.MustRule("r", "1000/second")
	a, _ := store.AskHeld(nil, rule, leasedKey, bucket.Ask{Peer: 2, Seq: 1, Want: 10, Tokens: 1}, 0, 1)
	if a.Allowed || !a.Degraded || a.Seq != 0 || a.Grant != 0 {
		t.Errorf("%+v", a)
	}
}

// A copy has what is lent as time in which nothing comes back, also of a bucket that
// is full and was dropped.
func TestCopiesOfWhatIsLent(t *testing.T) {
	store := bucket.NewStore(bucket.StoreConfig{Track: true})
	l := newLender(t, "1000/second")
	l.store = store
	l.ask(2, 0, 0, 20, 0)
	if n := store.Sweep(50*msec, 1<<20); n != 1 || store.Len() != 0 {
		t.Fatalf("%d entries dropped, %d left", n, store.Len())
	}
	whole, entries := store.AppendCopy(nil, 5, 100*msec)
	var changes []byte
	store.Changes(5, 100*msec, func(int) bool { return true }, func(_ int, b []byte) { changes = bytes.Clone(b) })
	if entries != 1 || changes == nil {
		t.Fatalf("%d entries, changes %x", entries, changes)
	}
	for what, copied := range map[string][]byte{"all": whole, "changes": changes} {
		other := newLender(t, "1000/second")
		if err := other.store.Merge(5, copied, 1100*msec); err != nil {
			t.Fatal(err)
		}
		other.want(what+", at once", 955, 0, 1100*msec)
		other.want(what+", when the lease has ended", 980, 0, 1125*msec)
	}
	l.want("here", 980, 20, 100*msec)
	if _, entries := store.AppendCopy(nil, 5, 200*msec); entries != 0 {
		t.Errorf("%d entries when all is back", entries)
	}
}

// What a peer gives back is counted when the statement is made, and never kept for a
// later one: by then it would be credited to a lease whose tokens were spent. Nobody
// but the peer can know, so here is what it leads to.
func TestWhatRanOutIsNotKeptForLater(t *testing.T) {
	passed := func(pooled bool) (n int64) {
		l := newLender(t, "1000/second")
		back := l.ask(2, 0, 0, 250, 0).Grant // and it isn't spent
		if !pooled {
			l.ask(2, 0, back, 0, 300*msec) // in vain: it has run out
			back = 0
		}
		n = l.ask(2, 0, 0, 250, 400*msec).Grant // and this is, at once
		l.ask(2, 0, back, 0, 400*msec)
		for l.take(1, 400*msec).Allowed {
			n++
		}
		return n
	}
	if n := passed(false); n != 1000 {
		t.Errorf("%d passed at once, of 1000", n)
	}
	if n := passed(true); n != 1250 {
		t.Errorf("%d passed at once where what ran out was kept; that is no longer 250 too much", n)
	}
}

// A statement is about whoever made it, whatever its hit has to wait for.
func TestStatementsWithHitsThatHaveToWait(t *testing.T) {
	l := newLender(t, "1000/second")
	l.ask(2, 0, 0, 50, 0)
	l.ask(3, 0, 0, 50, msec)
	l.ask(2, 50, 0, 0, 2*msec) // so 3 ends before it
	l.seq++
	if a := l.send(bucket.Ask{Tokens: 1000, Peer: 2, Seq: l.seq, Have: 50, Want: 10}, 3*msec); a.Allowed || a.Keep != 50 || a.Grant != 10 {
		t.Errorf("%+v", a)
	}
	l.ask(2, 0, 60, 0, 3*msec)
	l.want("2 has given all back", 950, 50, 3*msec)
}
