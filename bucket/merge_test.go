package bucket

import (
	"testing"

	"pgregory.net/rapid"
)

// drawState draws states that are often close to each other.
func drawState(t *rapid.T, label string) State {
	return State{
		at:  rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(0, 1<<63-1)).Draw(t, label+".at"),
		val: rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 1<<63-1)).Draw(t, label+".val"),
	}
}

func TestMergeMayHappenInAnyOrderAndAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawState(t, "a"), drawState(t, "b"), drawState(t, "c")
		if TokenBucket.Merge(a, b) != TokenBucket.Merge(b, a) {
			t.Errorf("%v and %v don't commute", a, b)
		}
		if TokenBucket.Merge(TokenBucket.Merge(a, b), c) != TokenBucket.Merge(a, TokenBucket.Merge(b, c)) {
			t.Errorf("%v, %v and %v don't associate", a, b, c)
		}
		if TokenBucket.Merge(a, a) != a || TokenBucket.Merge(TokenBucket.Merge(a, b), b) != TokenBucket.Merge(a, b) {
			t.Errorf("%v and %v again make a difference", a, b)
		}
		if TokenBucket.Merge(a, State{}) != a {
			t.Errorf("%v and nothing is %v", a, TokenBucket.Merge(a, State{}))
		}
	})
}

func TestMergeForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGCRA(numbers{count: 1<<63 - 1, per: 1 << 61, burst: 1 << 62})
		a, b := drawState(t, "a"), drawState(t, "b")
		now := rapid.Int64Range(0, 1<<62).Draw(t, "now")
		a.val, b.val = a.val%g.tokens, b.val%g.tokens
		both, da, db := g.debt(TokenBucket.Merge(a, b), now), g.debt(a, now), g.debt(b, now)
		if da.longer(both) || db.longer(both) || both != da && both != db {
			t.Errorf("debts %v and %v merge to %v", da, db, both)
		}
	})
}

// Of two copies that went on apart, the one with fewer tokens left wins.
func TestMergedCopiesLeaveTheFewerTokens(t *testing.T) {
	g := newGCRA(numbers{count: 7, per: 1e9, burst: 7})
	take := func(s State, now int64, n uint64) State {
		d, wait := g.charge(g.debt(s, now), n)
		if wait > 0 {
			t.Fatalf("%d tokens at %d refused", n, now)
		}
		return g.owing(d, now)
	}
	common := take(State{}, 0, 2)
	a, b := take(common, 10, 1), take(common, 20, 4)
	if left := g.remaining(g.debt(TokenBucket.Merge(a, b), 20)); left != 1 {
		t.Errorf("%d left, want 1", left)
	}
	if !TokenBucket.Merge(a, b).full(857_142_858) || TokenBucket.Merge(a, b).full(857_142_857) {
		t.Errorf("%v is full at the wrong time", TokenBucket.Merge(a, b)) // six sevenths of a second
	}
}

// Merge compares states, so each has only one form: a fraction below one.
func TestStatesHaveOneForm(t *testing.T) {
	g := newGCRA(numbers{count: 7, per: 1e9, burst: 700})
	var d span
	for i := range uint64(700) {
		if d, _ = g.charge(d, 1); d.frac >= g.tokens || d != g.cost(i+1) {
			t.Fatalf("after %d tokens the debt is %v, in one go %v", i+1, d, g.cost(i+1))
		}
	}
}
