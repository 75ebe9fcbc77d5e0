package bucket

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// drawLeasedRule draws a rule that may be leased.
func drawLeasedRule(t *rapid.T) *Rule {
	algorithm := rapid.SampledFrom([]Algorithm{TokenBucket, FixedWindow}).Draw(t, "algorithm")
	return randomRule(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "rule"), 1)), algorithm)
}

// states are those of a key.
func (s *Store) states(r *Rule, d Digest) (states []State) {
	for i := range r.terms {
		if e := s.shard(d).table.find(d.Hi, r.terms[i].lo(d)); e != nil {
			states = append(states, e.state())
		} else {
			states = append(states, State{})
		}
	}
	return states
}

func same(a, b []State, now int64) bool {
	for i := range a {
		if a[i] != b[i] && !(a[i].full(now) && b[i].full(now)) {
			return false
		}
	}
	return true
}

// Where nothing is lent, hits that are asked for are decided as those that aren't, to
// the bit. And what is given back at once has never been lent, but that it may have
// opened a window.
func TestLeasesLeaveNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule, d := drawLeasedRule(t), Digest{3 << 52, 4}
		plain, asked := NewStore(StoreConfig{}), NewStore(StoreConfig{})
		now, seq := rapid.Int64Range(0, 1<<40).Draw(t, "start"), uint64(0)
		for range 30 {
			n := rapid.Int64Range(0, rule.Capacity()+1).Draw(t, "n")
			if rapid.Bool().Draw(t, "few") {
				n = min(n, 2)
			}
			seq++
			a := Ask{Tokens: n, Peer: 2, Seq: seq * uint64(n%2)}
			want := plain.TakeDigest(rule, d, n, now)
			got, _ := asked.AskHeld(nil, rule, d, a, now, 1)
			if got.Verdict != want || !same(plain.states(rule, d), asked.states(rule, d), now) {
				t.Fatalf("%d tokens at %d under %v: got %+v, want %+v", n, now, rule, got.Verdict, want)
			}
			if rule.terms[0].algorithm == TokenBucket && rapid.Bool().Draw(t, "lend") {
				seq++
				lent, _ := asked.AskHeld(nil, rule, d, Ask{Peer: 2, Seq: seq, Want: n}, now, 1)
				seq++
				asked.AskHeld(nil, rule, d, Ask{Peer: 2, Seq: seq, Back: lent.Grant}, now, 1)
				now += 2 * int64(rule.LeaseTerm())
			}
			now += rapid.Int64Range(0, rule.terms[0].per).Draw(t, "gap") / 4
		}
	})
}

// Every key that is leased is marked, also after others of its mark are no more.
func TestLeasedKeysAreMarked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lent, leases := &lent{}, map[uint64]*lease{}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			d := Digest{Hi: rapid.Uint64Range(0, 20).Draw(t, "key")}
			d.Lo = d.Hi % 5 * 77 << 56
			if l := leases[d.Hi]; l != nil {
				lent.end(l)
				delete(leases, d.Hi)
			} else {
				leases[d.Hi] = &lease{digest: d}
				lent.add(leases[d.Hi])
			}
			for _, l := range leases {
				if !lent.marked(l.digest) {
					t.Fatalf("%v isn't", l.digest)
				}
			}
			if len(leases) == 0 && lent.marks != [4]uint64{} {
				t.Fatalf("a mark has stayed: %x", lent.marks)
			}
		}
	})
}

// Whoever asks for whatever: nothing is made of it.
func TestAsksOfAnyNumbers(t *testing.T) {
	amount := rapid.OneOf(rapid.Int64Range(-2, 300), rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64}))
	rapid.Check(t, func(t *rapid.T) {
		rule, d := drawLeasedRule(t), Digest{3 << 52, 4}
		store, now := NewStore(StoreConfig{}), int64(0)
		for range 40 {
			a := Ask{
				Tokens: amount.Draw(t, "tokens"),
				Peer:   rapid.Uint64Range(0, 3).Draw(t, "peer"),
				Own:    rapid.Bool().Draw(t, "own"),
				Seq:    rapid.Uint64Range(0, 99).Draw(t, "seq"),
				Have:   amount.Draw(t, "have"),
				Back:   amount.Draw(t, "back"),
				Want:   amount.Draw(t, "want"),
			}
			before := store.PeekDigest(rule, d, 0, now).Remaining
			_, out := store.Leases()
			got, ok := store.AskHeld(nil, rule, d, a, now, 1)
			if !ok || got.Grant < 0 || got.Keep < 0 || got.Left < 0 || got.Term < 0 || got.Hold < 0 || got.Keep > max(0, a.Have) || got.Grant > max(0, a.Want) {
				t.Fatalf("%+v: %+v, %t", a, got, ok)
			}
			after := store.PeekDigest(rule, d, 0, now).Remaining
			if _, still := store.Leases(); still < 0 || still > rule.Capacity()/4 || after+still > before+out {
				t.Fatalf("%+v: %d left and %d lent, of %d and %d", a, after, still, before, out)
			}
			now += rapid.Int64Range(0, int64(rule.LeaseTerm())).Draw(t, "gap") * rapid.Int64Range(0, 1).Draw(t, "wait")
		}
	})
}

// While tokens are lent, too, whoever waits for RetryAfter passes, and no sooner, if
// nothing else happens.
func TestWaitingRetryAfterAdmitsWhileTokensAreLent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Uint64().Draw(t, "seed"), drawLeasedRule(t), sound)
		w.free(rapid.IntRange(0, 100).Draw(t, "steps"))
		w.grab(w.peers, 1)
		n := rapid.Int64Range(1, w.rule.Capacity()).Draw(t, "n")
		s, now := w.site(), w.now+w.site().ahead
		v := s.PeekDigest(w.rule, w.digest, n, now)
		if v.Allowed {
			return
		}
		due := now + int64(v.RetryAfter)
		if early := s.PeekDigest(w.rule, w.digest, n, due-1); early.Allowed || early.RetryAfter != 1 {
			t.Fatalf("%d tokens under %v, told %+v; a nanosecond early: %+v", n, w.rule, v, early)
		}
		if late := s.PeekDigest(w.rule, w.digest, n, due); !late.Allowed {
			t.Fatalf("%d tokens under %v, told %+v; after waiting: %+v", n, w.rule, v, late)
		}
	})
}
