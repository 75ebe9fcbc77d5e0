package bucket_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

func TestResetMakesWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawPenalized(t)
		now, _ := walk(t, store, rule, "key")
		other := store.Take(rule, "other", 1, now)
		used := bare(store.Peek(rule, "key", 0, now)) != newStore().Peek(rule, "key", 0, now)
		if found := store.Reset(rule, "key", now); used && !found {
			t.Fatalf("%v: nothing was found", rule)
		}
		if store.Reset(rule, "key", now) {
			t.Fatalf("%v: there is something to reset again", rule)
		}
		fresh := newStore()
		for _, n := range []int64{0, 1, drawTokens(t, rule)} {
			if got, want := store.Peek(rule, "key", n, now), fresh.Peek(rule, "key", n, now); got != want {
				t.Fatalf("%v: %d tokens after a reset: %+v, untouched %+v", rule, n, got, want)
			}
		}
		if again := store.Peek(rule, "other", 0, now); other.Allowed && again.Remaining != other.Remaining {
			t.Fatalf("another key had %+v and has %+v", other, again)
		}
	})
}

// A window that begins after a reset is newer than the copies of the one before.
func TestCopiesOfAResetWindow(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("r", "10/hour fixed")
	d := bucket.Digest{Hi: 1, Lo: 1}
	store.TakeDigest(rule, d, 8, 0)
	stale, _ := store.AppendCopy(nil, 0, 0)
	if !store.ResetDigest(rule, d, 1) {
		t.Fatal("nothing to reset")
	}
	store.TakeDigest(rule, d, 1, 2)
	if err := store.Merge(0, stale, 3); err != nil {
		t.Fatal(err)
	}
	if v := store.PeekDigest(rule, d, 0, 3); v.Remaining != 9 {
		t.Errorf("%+v", v)
	}
}

// After any sequence of hits, refunds, resets and changes of the limit there is
// something between nothing and everything.
func TestRemainingStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, now := newStore(), int64(0)
		rules := []*bucket.Rule{newRule(t, "r", drawPlain(t)), newRule(t, "r", drawPlain(t)), newRule(t, "r", drawLimit(t))}
		var receipts []bucket.Receipt
		for range 40 {
			rule := rapid.SampledFrom(rules).Draw(t, "rule")
			before := store.Peek(rule, "key", 0, now).Remaining
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 4:
				d := store.Take(rule, "key", drawTokens(t, rule), now)
				receipts = append(receipts, d.Receipt)
			case op < 7 && len(receipts) > 0:
				r := rapid.SampledFrom(receipts).Draw(t, "receipt") // used once or more
				store.Refund(rule, "key", r, now)
				if after := store.Peek(rule, "key", 0, now).Remaining; after < before || after-before > r.Tokens() {
					t.Fatalf("%v: a refund of %d made %d tokens %d", rule, r.Tokens(), before, after)
				}
			case op == 7:
				store.Reset(rule, "key", now)
			default:
				now = drawLater(t, rule, now)
			}
			for _, r := range rules {
				if d := store.Peek(r, "key", 0, now); d.Remaining < 0 || d.Remaining > r.Capacity() || d.ResetAfter < 0 {
					t.Fatalf("%v: %+v", r, d)
				}
			}
		}
	})
}
