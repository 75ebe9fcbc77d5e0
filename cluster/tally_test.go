package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

// Each name is counted for itself up to the bound, and beyond it they are together.
func TestTallyOfManyRules(t *testing.T) {
	var tally tally
	const names = maxRules + 72
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range names {
				rule := bucket.MustRule(fmt.Sprintf("rule %d", i), "1/hour") // as a reloaded file has it: anew
				tally.count(rule, PathLeased, Refused)
			}
		})
	}
	wg.Wait()
	all := tally.decisions(bucket.NewStore(bucket.StoreConfig{}))
	if len(all) != maxRules+1 {
		t.Fatalf("%d kinds of decisions, want %d and one of the others", len(all), maxRules)
	}
	total := int64(0)
	for _, d := range all {
		total += d.Count
		if d.Path != PathLeased || d.Outcome != Refused || d.Rule != "" && d.Count != 4 {
			t.Errorf("%+v", d)
		}
	}
	if total != 4*names || all[0].Rule != "" || all[0].Count != 4*(names-maxRules) {
		t.Errorf("%d in all, first %+v", total, all[0])
	}
}

// What a decision is counted as.
func TestCountOfDecisions(t *testing.T) {
	n := &Node{}
	rule := bucket.MustRule("api", "1/hour")
	n.count(rule, &bucket.Verdict{Allowed: true}, PathLocal)
	n.count(rule, &bucket.Verdict{}, PathLocal)
	n.count(rule, &bucket.Verdict{Allowed: true, Degraded: true}, PathForwarded)
	n.count(rule, &bucket.Verdict{Degraded: true}, PathPolicy)
	if err := rule.SetMode(bucket.Shadow); err != nil {
		t.Fatal(err)
	}
	n.count(rule, &bucket.Verdict{}, PathDenied)
	n.count(rule, &bucket.Verdict{}, PathOff)
	want := []Decisions{
		{"api", PathLocal, Allowed, 1}, {"api", PathLocal, Refused, 1}, {"api", PathDenied, WouldRefuse, 1},
		{"api", PathStandby, Allowed, 1}, {"api", PathPolicy, Refused, 1}, {"api", PathOff, Allowed, 1},
	}
	if got := n.tally.decisions(bucket.NewStore(bucket.StoreConfig{})); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := testing.AllocsPerRun(100, func() { n.count(rule, &bucket.Verdict{}, PathLeased) }); got != 0 {
		t.Errorf("counting allocates %v times", got)
	}
}

// Every decision is counted once, whichever way it came about: here where a key is new,
// where it is there, where it is refused, and in every mode; a Peek isn't.
func TestEachDecisionIsCountedOnce(t *testing.T) {
	n, err := Start(t.Context(), Config{DeniedKeys: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close(context.Background()) }()
	rule, two := bucket.MustRule("api", "3/hour"), bucket.MustRule("two", "3/hour; 9/day")
	for _, mode := range []bucket.Mode{bucket.Enforce, bucket.Shadow, bucket.Off} {
		for _, r := range []*bucket.Rule{rule, two} {
			if err := r.SetMode(mode); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				d, err := n.Take(t.Context(), r, "key", 1)
				if err != nil || d.WouldRefuse && mode != bucket.Shadow {
					t.Fatal(d, err)
				}
				if _, err := n.Peek(t.Context(), r, "key", 1); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	want := []Decisions{
		{"api", PathLocal, Allowed, 3}, {"api", PathLocal, Refused, 2}, {"api", PathLocal, WouldRefuse, 5}, {"api", PathOff, Allowed, 5},
		{"two", PathLocal, Allowed, 3}, {"two", PathLocal, Refused, 2}, {"two", PathLocal, WouldRefuse, 5}, {"two", PathOff, Allowed, 5},
	}
	if got := n.Metrics().Decisions; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if denied := n.Denied(); len(denied) != 2 || denied[0].Refusals != 7 || denied[1].Refusals != 7 {
		t.Errorf("denied: %+v", denied)
	}
}

func TestPathsAndOutcomesHaveWords(t *testing.T) {
	words := map[string]bool{}
	for p := range paths {
		words[p.String()] = true
	}
	for o := range outcomes {
		words[o.String()] = true
	}
	if len(words) != int(paths)+int(outcomes) || words["unknown"] || words[""] {
		t.Errorf("words %v", words)
	}
	if paths.String() != "unknown" || outcomes.String() != "unknown" || int(paths)*int(outcomes) > len(stripe{}) {
		t.Error("a path or an outcome too many")
	}
}

// BenchmarkCount is what counting costs, beside the one atomic addition that it is at the
// least.
func BenchmarkCount(b *testing.B) {
	n := &Node{}
	rule, v := bucket.MustRule("api", "1/hour"), bucket.Verdict{Allowed: true}
	var one atomic.Int64
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			n.count(rule, &v, PathLeased)
		}
	})
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			one.Add(1)
		}
	})
}
