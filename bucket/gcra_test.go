package bucket_test

import (
	"math"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const yes, no = true, false

// step is one hit of a story, and what it must be answered.
type step struct {
	at        time.Duration
	n         int64
	allowed   bool
	remaining int64
	retry     time.Duration
	reset     time.Duration
}

// run tells a story to a fresh store.
func run(t *testing.T, l bucket.Limit, steps []step) {
	t.Helper()
	store, rule := newStore(), newRule(t, "story", l)
	for i, s := range steps {
		want := bucket.Decision{Allowed: s.allowed, Limit: l, Remaining: s.remaining, RetryAfter: s.retry, ResetAfter: s.reset}
		if got := bare(store.Take(rule, "key", s.n, int64(s.at))); got != want {
			t.Errorf("step %d, %d tokens at %v:\n got %+v\nwant %+v", i, s.n, s.at, got, want)
		}
	}
}

func TestTenPerMinute(t *testing.T) {
	const s, ns = time.Second, time.Nanosecond
	run(t, bucket.Limit{Count: 10, Per: time.Minute}, []step{
		{0, 1, yes, 9, 0, 6 * s},
		{0, 9, yes, 0, 0, 60 * s},
		{0, 1, no, 0, 6 * s, 60 * s},
		{0, 10, no, 0, 60 * s, 60 * s},
		{6*s - ns, 1, no, 0, ns, 54*s + ns},
		{6 * s, 1, yes, 0, 0, 60 * s},
		{17 * s, 2, no, 1, 1 * s, 49 * s}, // a refused hit takes nothing
		{17 * s, 1, yes, 0, 0, 55 * s},
		{17 * s, 0, yes, 0, 0, 55 * s},
		{18 * s, 1, yes, 0, 0, 60 * s}, // the five sixths of a token were kept
		{78 * s, 10, yes, 0, 0, 60 * s},
		{500 * s, 0, yes, 10, 0, 0}, // never more than the burst
		{500 * s, 11, no, 10, never, 0},
		{500 * s, 10, yes, 0, 0, 60 * s},
	})
}

func TestThirdsAreExact(t *testing.T) {
	run(t, bucket.Limit{Count: 3, Per: time.Second}, []step{
		{0, 3, yes, 0, 0, 1e9},
		{0, 1, no, 0, 333_333_334, 1e9},
		{333_333_333, 1, no, 0, 1, 666_666_667},
		{333_333_334, 1, yes, 0, 0, 1e9}, // 666 666 666 + 333 333 333 1/3
		{666_666_666, 1, no, 0, 1, 666_666_668},
		{666_666_667, 1, yes, 0, 0, 1e9},
		{999_999_999, 1, no, 0, 1, 666_666_668},
		{1_000_000_000, 1, yes, 0, 0, 1e9}, // on the second: nothing was rounded away
	})
}

func TestSeventhsNeverDrift(t *testing.T) {
	store, rule := newStore(), newRule(t, "r", bucket.Limit{Count: 7, Per: time.Second})
	store.Take(rule, "key", 7, 0)
	for i := int64(1); i <= 70_000; i++ {
		due := (i*1e9 + 6) / 7 // the i-th token is back, rounded up
		early, late := store.Take(rule, "key", 1, due-1), store.Take(rule, "key", 1, due)
		if early.Allowed || early.RetryAfter != 1 || !late.Allowed || late.Remaining != 0 {
			t.Fatalf("token %d at %d: got %+v and %+v", i, due, early, late)
		}
	}
}

func TestOddLimits(t *testing.T) {
	const year = 360 * day
	for _, story := range []struct {
		name  string
		limit bucket.Limit
		steps []step
	}{
		{"one per 10 seconds", bucket.Limit{Count: 1, Per: 10 * time.Second}, []step{
			{5, 1, yes, 0, 0, 10e9},
			{5, 1, no, 0, 10e9, 10e9},
			{10e9 + 4, 1, no, 0, 1, 1},
			{10e9 + 5, 1, yes, 0, 0, 10e9},
		}},
		{"a token each nanosecond", bucket.Limit{Count: 1e9, Per: time.Second}, []step{
			{0, 1e9, yes, 0, 0, 1e9},
			{0, 1, no, 0, 1, 1e9},
			{1, 1, yes, 0, 0, 1e9},
			{1, 2, no, 0, 2, 1e9},
			{500_000_001, 5e8, yes, 0, 0, 1e9},
		}},
		{"three tokens each nanosecond", bucket.Limit{Count: 3e9, Per: time.Second}, []step{
			{0, 3e9, yes, 0, 0, 1e9},
			{0, 1, no, 0, 1, 1e9},
			{1, 4, no, 3, 1, 999_999_999},
			{1, 3, yes, 0, 0, 1e9},
			{2, 1, yes, 2, 0, 1e9}, // a third of a nanosecond is rounded up
			{2, 2, yes, 0, 0, 1e9},
			{2, 1, no, 0, 1, 1e9},
		}},
		{"one per year", bucket.Limit{Count: 1, Per: year}, []step{
			{0, 1, yes, 0, 0, year},
			{0, 1, no, 0, year, year},
			{year - 1, 1, no, 0, 1, 1},
			{year, 1, yes, 0, 0, year},
		}},
		{"burst above the count", bucket.Limit{Count: 1, Per: time.Second, Burst: 5}, []step{
			{0, 5, yes, 0, 0, 5e9},
			{0, 1, no, 0, 1e9, 5e9},
			{2e9, 3, no, 2, 1e9, 3e9},
			{2e9, 2, yes, 0, 0, 5e9},
			{60e9, 6, no, 5, never, 0},
		}},
		{"burst below the count", bucket.Limit{Count: 100, Per: time.Second, Burst: 1}, []step{
			{0, 2, no, 1, never, 0},
			{0, 1, yes, 0, 0, 10e6},
			{0, 1, no, 0, 10e6, 10e6},
			{0, 2, no, 0, never, 10e6},
			{10e6, 1, yes, 0, 0, 10e6},
		}},
		{"nothing", bucket.Limit{Count: 0, Per: time.Second}, []step{
			{0, 1, no, 0, never, 0},
			{0, 0, no, 0, never, 0},
			{maxTime, math.MaxInt64, no, 0, never, 0},
		}},
		{"nothing, whatever the burst", bucket.Limit{Count: 0, Per: time.Second, Burst: 5}, []step{
			{0, 1, no, 0, never, 0},
		}},
		{"costs of 0 and below", bucket.Limit{Count: 10, Per: time.Minute}, []step{
			{0, 0, yes, 10, 0, 0},
			{0, -1, no, 0, never, 0},
			{0, math.MinInt64, no, 0, never, 0},
			{0, 10, yes, 0, 0, 60e9},
			{0, 0, yes, 0, 0, 60e9},
			{0, -1, no, 0, never, 0},
		}},
		{"the largest count", bucket.Limit{Count: math.MaxInt64, Per: time.Second}, []step{
			{0, math.MaxInt64, yes, 0, 0, 1e9},
			{0, 1, no, 0, 1, 1e9},
			{1, 1, yes, 9_223_372_035, 0, 1e9},
			{2e9, 1, yes, math.MaxInt64 - 1, 0, 1},
			{2e9, math.MaxInt64, no, math.MaxInt64 - 1, 1, 1},
		}},
		{"the largest count in the shortest time", bucket.Limit{Count: math.MaxInt64, Per: 1}, []step{
			{0, math.MaxInt64, yes, 0, 0, 1},
			{0, 1, no, 0, 1, 1},
			{1, math.MaxInt64, yes, 0, 0, 1},
		}},
		{"the longest fill", bucket.Limit{Count: 1, Per: 1 << 62}, []step{
			{0, 1, yes, 0, 0, 1 << 62},
			{maxTime, 1, no, 0, 1, 1},
		}},
		{"the longest fill, late", bucket.Limit{Count: 4, Per: (1<<64 - 1) / 5, Burst: 5}, []step{ // 1<<62 - 1/4
			{maxTime, 5, yes, 0, 0, 1 << 62},
			{0, 5, no, 0, never, never}, // as long as a Duration can be
		}},
		{"the longest fill at the end of time", bucket.Limit{Count: 1, Per: 1 << 62}, []step{
			{1<<62 - 1, 1, yes, 0, 0, 1 << 62},
			{1<<62 - 1, 1, no, 0, 1 << 62, 1 << 62}, // an int64 holds no later time
		}},
		{"a clock that goes back", bucket.Limit{Count: 10, Per: time.Minute}, []step{
			{10e9, 10, yes, 0, 0, 60e9},
			{0, 1, no, 0, 16e9, 70e9},
			{0, 0, no, 0, 10e9, 70e9}, // not even nothing fits above the burst
			{16e9, 1, yes, 0, 0, 60e9},
		}},
	} {
		t.Run(story.name, func(t *testing.T) { run(t, story.limit, story.steps) })
	}
}
