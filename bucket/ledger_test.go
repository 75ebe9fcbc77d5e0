package bucket_test

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// ledger is the books of a bucket whose numbers change, whose charges are refunded,
// and which is reset: what is owed of each charge, the oldest being paid back first.
type ledger struct {
	owed []*big.Rat // nil where all is paid back, refunded or reset
	rate *big.Rat   // tokens a nanosecond, by the numbers of the latest hit
	then int64
}

func (l *ledger) pass(now int64) {
	back := new(big.Rat).SetInt64(now - l.then)
	back.Mul(back, l.rate)
	for _, o := range l.owed {
		paid := new(big.Rat).Set(o)
		if paid.Cmp(back) > 0 {
			paid.Set(back)
		}
		o.Sub(o, paid)
		back.Sub(back, paid)
	}
	l.then = now
}

// most is what a limit can have left.
func (l *ledger) most(limit bucket.Limit) *big.Rat {
	left := new(big.Rat).SetInt64(limit.Capacity())
	for _, o := range l.owed {
		left.Sub(left, o)
	}
	return left
}

// Never is a token made: whatever order hits, refunds, resets and other numbers come
// in, there is no more in a bucket than what its capacity, its rates, and of each
// refunded charge that which was still owed account for.
func TestNoTokenIsEverMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules [3]*bucket.Rule
		for i := range rules {
			rules[i] = newRule(t, "r", bucket.Limit{
				Name:      "whatever its numbers",
				Algorithm: rapid.SampledFrom(algorithms[:2]).Draw(t, "algorithm"),
				Count:     rapid.Int64Range(1, 30).Draw(t, "count"),
				Per:       time.Duration(rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, 1e9)).Draw(t, "per")),
				Burst:     rapid.Int64Range(1, 30).Draw(t, "burst"),
			})
		}
		type charge struct {
			receipt bucket.Receipt
			rule    *bucket.Rule
			owed    *big.Rat
		}
		store, books, now, rule := newStore(), &ledger{rate: new(big.Rat)}, int64(0), rules[0]
		var charges []charge
		for range 50 {
			switch op := rapid.IntRange(0, 19).Draw(t, "op"); {
			case op < 9:
				if op < 3 {
					rule = rapid.SampledFrom(rules[:]).Draw(t, "rule")
				}
				d := store.Take(rule, "key", rapid.Int64Range(1, 10).Draw(t, "n"), now)
				if d.Allowed {
					owed := new(big.Rat).SetInt64(d.Receipt.Tokens())
					books.owed, charges = append(books.owed, owed), append(charges, charge{d.Receipt, rule, owed})
				}
				l := rule.Limits()[0]
				books.rate = big.NewRat(l.Count, int64(l.Per))
			case op < 14 && len(charges) > 0:
				i := rapid.IntRange(0, len(charges)-1).Draw(t, "which")
				if c := charges[i]; store.Refund(c.rule, "key", c.receipt, now) {
					c.owed.SetInt64(0)
				}
				charges = append(charges[:i], charges[i+1:]...)
			case op == 14 && rapid.Bool().Draw(t, "reset"):
				store.Reset(rule, "key", now)
				books.owed = nil
				for _, c := range charges {
					if store.Refund(c.rule, "key", c.receipt, now) {
						t.Fatalf("%+v is refunded after a reset", c)
					}
				}
				charges = nil
				now++ // or else receipts to come are taken for those from before
			default:
				now = drawLater(t, rule, now)
			}
			books.pass(now)
			for _, r := range rules {
				l := r.Limits()[0]
				if left := store.Peek(r, "key", 0, now).Remaining; left > 0 && books.most(l).Cmp(big.NewRat(left, 1)) < 0 {
					t.Fatalf("%+v at %d has %d left, and can have only %s", l, now, left, books.most(l).FloatString(3))
				}
			}
		}
	})
}

// At one moment this is so for every algorithm, to the token.
func TestEveryTokenIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules [3]*bucket.Rule
		for i := range rules {
			l := drawPlain(t)
			l.Name = "whatever its algorithm"
			rules[i] = newRule(t, "r", l)
		}
		type charge struct {
			receipt bucket.Receipt
			rule    *bucket.Rule
		}
		store, now, used := newStore(), rapid.Int64Range(0, 1<<60).Draw(t, "now"), int64(0)
		var charges []charge
		for range 40 {
			rule := rapid.SampledFrom(rules[:]).Draw(t, "rule")
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 5:
				if d := store.Take(rule, "key", rapid.Int64Range(1, 10).Draw(t, "n"), now); d.Allowed {
					used += d.Receipt.Tokens()
					charges = append(charges, charge{d.Receipt, rule})
				}
			case op < 9 && len(charges) > 0:
				i := rapid.IntRange(0, len(charges)-1).Draw(t, "which")
				if c := charges[i]; store.Refund(c.rule, "key", c.receipt, now) {
					used -= c.receipt.Tokens()
				}
				charges = append(charges[:i], charges[i+1:]...)
			default:
				store.Reset(rule, "key", now)
				used = 0
			}
			for _, r := range rules {
				if left, want := store.Peek(r, "key", 0, now).Remaining, max(0, r.Capacity()-used); left != want {
					t.Fatalf("%v has %d left with %d used, want %d", r, left, used, want)
				}
			}
		}
	})
}

// A limit that was faster for a while has paid back what a receipt takes for owed.
func TestChangesThereAndBackVoidReceipts(t *testing.T) {
	for _, there := range []string{"a=1000/second burst 10", "a=10/second log", "a=10/second fixed"} {
		for _, back := range []string{"a=10/hour", "a=10/hour fixed aligned", "a=10/hour sliding aligned", "a=10/hour log"} {
			store, slow, fast := newStore(), bucket.MustRule("r", back), bucket.MustRule("r", there)
			d := store.Take(slow, "key", 5, 0)
			store.Take(fast, "key", 0, 0)
			store.Take(fast, "key", 5, int64(time.Second)) // the first five have come back
			store.Take(slow, "key", 0, int64(time.Second))
			before := store.Peek(slow, "key", 0, int64(time.Second)).Remaining
			other := store.Take(slow, "another", 3, 0)
			if store.Refund(slow, "key", d.Receipt, int64(time.Second)) || store.Peek(slow, "key", 0, int64(time.Second)).Remaining != before {
				t.Errorf("%s, %s and back: credited to others", back, there)
			}
			if !store.Refund(slow, "another", other.Receipt, int64(time.Second)) {
				t.Errorf("%s, %s and back: another key's receipt is void too", back, there)
			}
		}
	}
}
