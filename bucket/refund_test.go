package bucket_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// charge is a hit that was admitted, with its receipt.
type charge struct {
	at, n   int64
	receipt bucket.Receipt
}

// refunding is a store whose hits are given back now and then, and the history of
// those that weren't.
type refunding struct {
	store *bucket.Store
	rule  *bucket.Rule
	kept  []charge
	now   int64
}

var somebody, neighbour = bucket.Digest{Hi: 7, Lo: 7}, bucket.Digest{Hi: 7, Lo: 8} // of one shard

func (r *refunding) hit(n int64) {
	if v := r.store.TakeDigest(r.rule, somebody, n, r.now); v.Allowed && n > 0 {
		r.kept = append(r.kept, charge{r.now, n, v.Receipt})
	}
}

// refund gives back that much of the i-th charge.
func (r *refunding) refund(i int, n int64) {
	c := &r.kept[i]
	r.store.RefundDigest(r.rule, somebody, c.receipt.Part(n), r.now)
	c.n -= n
	if c.receipt = c.receipt.Part(c.n); c.n == 0 {
		r.kept = append(r.kept[:i], r.kept[i+1:]...)
	}
}

// flood makes the shard forget what it remembers of refunds.
func (r *refunding) flood() {
	for range 100 {
		v := r.store.TakeDigest(r.rule, neighbour, 1, r.now)
		r.store.RefundDigest(r.rule, neighbour, v.Receipt, r.now)
	}
}

// replay is what is left when only the kept hits ever came.
func (r *refunding) replay(t *rapid.T) bucket.Verdict {
	fresh := newStore()
	for _, c := range r.kept {
		if v := fresh.TakeDigest(r.rule, somebody, c.n, c.at); !v.Allowed {
			t.Fatalf("%v: of %+v, %+v is refused: %+v", r.rule, r.kept, c, v)
		}
	}
	return fresh.PeekDigest(r.rule, somebody, 0, r.now)
}

func (r *refunding) check(t *rapid.T) {
	got, want := r.store.PeekDigest(r.rule, somebody, 0, r.now), r.replay(t)
	l := r.rule.Limits()[0]
	if got.Remaining < 0 || got.Remaining > want.Remaining || got.ResetAfter < want.ResetAfter && l.Algorithm <= bucket.LeakyBucket {
		t.Fatalf("%v at %d: %+v, and had the refunded hits not come %+v", r.rule, r.now, got, want)
	}
	if l.Algorithm > bucket.LeakyBucket && got.Remaining != want.Remaining {
		t.Fatalf("%v at %d: a window has %+v, and had the refunded hits not come %+v", r.rule, r.now, got, want)
	}
}

// drawPlain draws a limit of any algorithm; windows are aligned, so that they are
// the same whichever hit comes first.
func drawPlain(t *rapid.T) bucket.Limit {
	l := bucket.Limit{
		Algorithm: rapid.SampledFrom(algorithms[:]).Draw(t, "algorithm"),
		Count:     rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 1e6)).Draw(t, "count"),
		Per:       time.Duration(rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, 1e9)).Draw(t, "per")),
	}
	switch l.Algorithm {
	case bucket.TokenBucket, bucket.LeakyBucket:
		l.Burst = rapid.Int64Range(0, 30).Draw(t, "burst")
	case bucket.SlidingLog:
		l.Count = min(l.Count, 1024)
	default:
		l.Aligned = true
	}
	return l
}

// Nobody gains by somebody's refund: after any of them there is no more than if
// the hit had never come; in a window exactly as much.
func TestRefundsMakeNoToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawPlain(t)
		r := &refunding{store: newStore(), rule: newRule(t, "r", l), now: rapid.Int64Range(0, 1<<40).Draw(t, "start")}
		for range 40 {
			switch op := rapid.IntRange(0, 20).Draw(t, "op"); {
			case op < 10:
				r.hit(rapid.OneOf(rapid.Int64Range(1, 3), rapid.Int64Range(1, l.Capacity())).Draw(t, "n"))
			case op < 17 && len(r.kept) > 0:
				i := rapid.IntRange(0, len(r.kept)-1).Draw(t, "which")
				n := rapid.OneOf(rapid.Just(r.kept[i].n), rapid.Int64Range(1, r.kept[i].n)).Draw(t, "part")
				r.refund(i, n)
			case op == 17:
				r.flood()
			case op == 18 && rapid.Bool().Draw(t, "reset"):
				r.store.ResetDigest(r.rule, somebody, r.now)
				for _, c := range r.kept {
					if r.store.RefundDigest(r.rule, somebody, c.receipt, r.now) {
						t.Fatalf("%+v is refunded after a reset", c)
					}
				}
				r.kept = nil
				r.now++
			default:
				r.now = drawLater(t, r.rule, r.now)
			}
			r.check(t)
		}
	})
}

// A refund on the spot undoes a hit to the last part of a token, whatever was
// taken before it, and from all limits.
func TestARefundOnTheSpotUndoesAHit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 1, 4)
		now, _ := walk(t, store, rule, "key")
		n := max(1, drawTokens(t, rule))
		before := apart(t, store, rule, now)
		d := store.Take(rule, "key", n, now)
		if credited := store.Refund(rule, "key", d.Receipt, now); credited != d.Allowed {
			t.Fatalf("%+v: credited %v", d, credited)
		}
		for i, was := range before {
			if is := apart(t, store, rule, now)[i]; is != was {
				t.Fatalf("limit %d was %+v and is %+v", i, was, is)
			}
		}
	})
}

// refundStep is a hit, or the refund of an earlier step's.
type refundStep struct {
	at     time.Duration
	take   int64
	refund int // of that step, if take is 0
	ok     bool
	left   int64 // afterwards
}

func TestRefundSteps(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		limits string
		steps  []refundStep
	}{
		"tokens still owed": {"10/second", []refundStep{
			{0, 4, 0, yes, 6}, {0, 3, 0, yes, 3}, {100 * ms, 0, 1, yes, 7},
		}},
		"the oldest come back first": {"10/second", []refundStep{
			{0, 1, 0, yes, 9}, {0, 5, 0, yes, 4}, {200 * ms, 0, 0, no, 6}, {200 * ms, 0, 1, yes, 10},
		}},
		"others' tokens are theirs": {"10/second", []refundStep{
			{0, 5, 0, yes, 5}, {0, 5, 0, yes, 0}, {0, 0, 0, yes, 5}, {500 * ms, 10, 0, yes, 0}, {500 * ms, 0, 1, no, 0},
		}},
		"twice": {"10/second", []refundStep{
			{0, 4, 0, yes, 6}, {0, 0, 0, yes, 10}, {0, 0, 0, no, 10},
		}},
		"a window of the charge": {"10/second fixed", []refundStep{
			{0, 4, 0, yes, 6}, {999 * ms, 0, 0, yes, 10}, {999 * ms, 5, 0, yes, 5},
		}},
		"a window after it": {"10/second fixed", []refundStep{
			{0, 4, 0, yes, 6}, {1000 * ms, 5, 0, yes, 5}, {1000 * ms, 0, 0, no, 5},
		}},
		"an aligned one after it": {"10/second fixed aligned", []refundStep{
			{500 * ms, 4, 0, yes, 6}, {1000 * ms, 5, 0, yes, 5}, {1000 * ms, 0, 0, no, 5},
		}},
		"a sliding one after it": {"10/second sliding", []refundStep{
			{0, 4, 0, yes, 6}, {1500 * ms, 5, 0, yes, 3}, {1500 * ms, 0, 0, yes, 5}, {1500 * ms, 0, 1, yes, 10},
		}},
		"two sliding ones after it": {"10/second sliding", []refundStep{
			{0, 4, 0, yes, 6}, {1500 * ms, 5, 0, yes, 3}, {2500 * ms, 0, 0, no, 8},
		}},
		"of a log, its own": {"10/second log", []refundStep{
			{0, 4, 0, yes, 6}, {1 * ms, 3, 0, yes, 3}, {500 * ms, 0, 0, yes, 7}, {500 * ms, 0, 0, no, 7}, {1000 * ms, 0, 1, yes, 10},
		}},
		"of a log, too late": {"10/second log", []refundStep{
			{0, 4, 0, yes, 6}, {1000 * ms, 5, 0, yes, 5}, {1000 * ms, 0, 0, no, 5},
		}},
		"of a log, one that came out of order": {"10/second log", []refundStep{
			{2 * ms, 4, 0, yes, 6}, {1 * ms, 3, 0, yes, 3}, {3 * ms, 0, 1, yes, 6}, {3 * ms, 0, 0, yes, 10},
		}},
		"a calendar's month": {"10/month calendar", []refundStep{
			{0, 4, 0, yes, 6}, {30 * day, 0, 0, yes, 10}, {30 * day, 3, 0, yes, 7}, {31 * day, 2, 0, yes, 8}, {31 * day, 0, 2, no, 8},
		}},
		"each limit by itself": {"2/second; 10/hour", []refundStep{
			{0, 2, 0, yes, 0}, {1000 * ms, 2, 0, yes, 0}, {2000 * ms, 0, 0, yes, 2}, {2000 * ms, 2, 0, yes, 0},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			store, rule := newStore(), bucket.MustRule("r", c.limits)
			receipts := make([]bucket.Receipt, len(c.steps))
			for i, s := range c.steps {
				ok := false
				if s.take > 0 {
					d := store.Take(rule, "key", s.take, int64(s.at))
					ok, receipts[i] = d.Allowed, d.Receipt
				} else {
					ok = store.Refund(rule, "key", receipts[s.refund], int64(s.at))
				}
				if left := store.Peek(rule, "key", 0, int64(s.at)).Remaining; ok != s.ok || left != s.left {
					t.Errorf("step %d: %v and %d left, want %v and %d", i, ok, left, s.ok, s.left)
				}
			}
		})
	}
}

func TestReceiptsThatMeanNothing(t *testing.T) {
	rule, store := bucket.MustRule("r", "10/hour; penalty 5/hour"), bucket.NewStore(bucket.StoreConfig{ID: 1})
	receipt := store.Take(rule, "key", 5, 0).Receipt
	other := bucket.NewStore(bucket.StoreConfig{ID: 2})
	other.Take(rule, "key", 5, 0)
	if other.Refund(rule, "key", receipt, 0) {
		t.Error("another store's receipt is good")
	}
	if store.Refund(bucket.MustRule("r", "11/hour"), "key", receipt, 0) {
		t.Error("a receipt of other numbers is good")
	}
	if store.Refund(rule, "key", bucket.Receipt{}, 0) || store.Refund(rule, "key", receipt.Part(-1), 0) {
		t.Error("a receipt for nothing is good")
	}
	if store.Refund(rule, "another", receipt, 0) {
		t.Error("a key that isn't there got something")
	}
	if refused := store.Take(rule, "key", 6, 0); refused.Receipt != (bucket.Receipt{}) {
		t.Errorf("a refusal has a receipt: %+v", refused)
	}
	if store.Refund(rule, "key", receipt, 0); store.Peek(rule, "key", 0, 0).Remaining != 10 {
		t.Errorf("the right one: %+v", store.Peek(rule, "key", 0, 0))
	}
}

func TestReceiptsTravel(t *testing.T) {
	store, rule := bucket.NewStore(bucket.StoreConfig{ID: 0xabcdef01}), bucket.MustRule("r", "9/hour; 10/minute; 11/day fixed")
	store.Take(rule, "key", 3, 1e9)
	r := store.Take(rule, "key", 4, 2e9).Receipt
	b, err := r.AppendBinary(nil)
	if err != nil || len(b) != bucket.ReceiptBytes || r.Tokens() != 4 || r.Part(3).Tokens() != 3 || r.Part(5) != r {
		t.Fatalf("%x, %v; %+v", b, err, r)
	}
	got, err := bucket.DecodeReceipt(b)
	if err != nil || got != r {
		t.Errorf("%+v became %+v, %v", r, got, err)
	}
	negative := append([]byte{0x80}, b[1:]...)
	for _, bad := range [][]byte{nil, b[1:], append(b, 0), negative} {
		if r, err := bucket.DecodeReceipt(bad); err == nil {
			t.Errorf("%x is %+v", bad, r)
		}
	}
}

// A peer may send any receipt; the bucket is full at most.
func FuzzRefund(f *testing.F) {
	f.Add(int64(0), make([]byte, bucket.ReceiptBytes))
	f.Fuzz(func(t *testing.T, now int64, b []byte) {
		r, err := bucket.DecodeReceipt(b)
		if err != nil || now < 0 || now > maxTime {
			return
		}
		for _, limits := range []string{"7/second burst 20", "10/second leaky", "5/minute fixed", "6/minute sliding aligned", "6/minute log", "6/week calendar"} {
			store, rule := newStore(), bucket.MustRule("r", limits)
			own := store.Take(rule, "key", 5, now).Receipt
			bin, _ := own.AppendBinary(nil)
			copy(bin, b[:16]) // its own, but for time and tokens
			forged, _ := bucket.DecodeReceipt(bin)
			for _, r := range []bucket.Receipt{r, forged, forged} {
				store.Refund(rule, "key", r, now)
				if d := store.Peek(rule, "key", 0, now); d.Remaining < 0 || d.Remaining > rule.Capacity() || d.ResetAfter < 0 {
					t.Fatalf("%s: %+v", limits, d)
				}
			}
		}
	})
}

func TestRefundOfAShare(t *testing.T) {
	rule, store := bucket.MustRule("r", "10/hour"), newStore()
	d := store.Digest(rule, "key")
	r := store.TakeShare(rule, d, 5, 0, 2).Receipt
	if store.RefundShare(rule, d, r, 0, 3) || store.RefundDigest(rule, d, r, 0) {
		t.Error("a share of another size is refunded")
	}
	if !store.RefundShare(rule, d, r, 0, 2) || store.PeekShare(rule, d, 0, 0, 2).Remaining != 5 {
		t.Errorf("%+v", store.PeekShare(rule, d, 0, 0, 2))
	}
}
