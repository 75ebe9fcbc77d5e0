package bucket_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// drawStrictRule is drawRule with penalties as well.
func drawStrictRule(t *rapid.T) *bucket.Rule {
	limits := drawRule(t, 1, 4).Limits()
	var penalties []bucket.RuleOption
	for i := range rapid.IntRange(0, 2).Draw(t, "penalties") {
		l := drawAnyLimit(t)
		l.Name = string(rune('p' + i))
		penalties = append(penalties, bucket.WithPenalty(l))
	}
	r, err := bucket.NewRule("drawn", limits, penalties...)
	if err != nil {
		t.Fatalf("NewRule: %v", err)
	}
	return r
}

// travelled is the run as whoever asked reads it.
func travelled(t tester, run *bucket.Run, tokens int64) *bucket.Run {
	t.Helper()
	r := new(bucket.Run)
	r.Reset(tokens, run.Scale())
	for i := range run.Parts() {
		count, v := run.Part(i)
		*r.Add(count) = *v
	}
	if err := r.ReadRows(run.AppendRows(nil)); err != nil {
		t.Fatalf("rows: %v", err)
	}
	return r
}

// Equal hits that are decided together are told what each would be told by itself,
// receipts included, and leave the same behind.
func TestRunIsOneHitAfterTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawStrictRule(t)
		together, single := newStore(), newStore()
		d := together.Digest(rule, "k")
		now := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		replicas := rapid.SampledFrom([]int{1, 1, 1, 3}).Draw(t, "replicas")
		var run bucket.Run
		for round := range rapid.IntRange(1, 12).Draw(t, "rounds") {
			if rapid.IntRange(0, 3).Draw(t, "lend") == 0 { // while some are lent there are fewer
				ask := bucket.Ask{Peer: 7, Seq: uint64(round) + 1, Want: rapid.Int64Range(0, 1000).Draw(t, "want")}
				a, _ := together.AskHeld(nil, rule, d, ask, now, 1)
				if b, _ := single.AskHeld(nil, rule, d, ask, now, 1); a != b {
					t.Fatalf("%+v is lent, or %+v", a, b)
				}
			}
			n, count := drawTokens(t, rule), rapid.IntRange(1, 40).Draw(t, "count")
			if !together.TakeRun(&run, nil, rule, d, n, count, now, replicas) {
				t.Fatal("refused without a condition")
			}
			if run.Len() != count {
				t.Fatalf("something is said to %d of %d hits", run.Len(), count)
			}
			read := travelled(t, &run, n)
			for i := range count {
				var want bucket.Verdict
				if replicas > 1 {
					want = single.TakeShare(rule, d, n, now, replicas)
				} else {
					want = single.TakeDigest(rule, d, n, now)
				}
				var got, there bucket.Verdict
				run.At(&got, rule, i)
				read.At(&there, rule, i)
				if got != want || there != want {
					t.Fatalf("hit %d of %d, %d tokens at %d:\n%+v, read as\n%+v, want\n%+v", i, count, n, now, got, there, want)
				}
			}
			now = drawLater(t, rule, now)
		}
		if got, want := together.Peek(rule, "k", 0, now), single.Peek(rule, "k", 0, now); got != want {
			t.Fatalf("left behind %+v, want %+v", got, want)
		}
	})
}

// However many hits there are, they are decided at once, within the condition.
func TestRunOfMillions(t *testing.T) {
	s, rule := newStore(), bucket.MustRule("api", "5 per minute; 1000000 per hour")
	d := s.Digest(rule, "k")
	var run bucket.Run
	if s.TakeRun(&run, nil, rule, d, 1, 1<<30, 0, 1); run.Len() != 1<<30 || run.Parts() != 2 {
		t.Fatalf("%d hits in %d parts", run.Len(), run.Parts())
	}
	for i, allowed := range map[int]bool{0: true, 4: true, 5: false, 1<<30 - 1: false} {
		var v bucket.Verdict
		if run.At(&v, rule, i); v.Allowed != allowed {
			t.Errorf("hit %d: %+v", i, v)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.TakeRun(&run, nil, rule, d, 1, 100, 0, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if s.TakeRun(&run, nil, rule, d, -1, 7, 0, 1); run.Len() != 7 {
		t.Error("a negative cost isn't said to all")
	}
}

// What others send as rows may be anything.
func FuzzRunRows(f *testing.F) {
	f.Add([]byte{}, int64(1), 3)
	f.Add(make([]byte, bucket.RowBytes), int64(1<<62), 1<<20)
	rule := bucket.MustRule("api", "5 per minute; 7 per hour leaky")
	f.Fuzz(func(t *testing.T, rows []byte, tokens int64, count int) {
		var run bucket.Run
		run.Reset(tokens, count%7)
		run.Add(count).Allowed = true
		if run.ReadRows(rows) != nil {
			return
		}
		for _, i := range []int{0, 1, count / 2, count - 1} {
			if i < 0 {
				continue
			}
			var v bucket.Verdict
			if run.At(&v, rule, i); v.Remaining < 0 {
				t.Errorf("hit %d: %+v", i, v)
			}
		}
	})
}
