package bucket_test

import (
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func TestWordsAfterTheUnit(t *testing.T) {
	for text, want := range map[string]bucket.Limit{
		"100/hour sliding":           {Algorithm: bucket.SlidingWindow, Count: 100, Per: time.Hour},
		"10/second burst 20":         {Count: 10, Per: time.Second, Burst: 20},
		"10/second token burst 20":   {Count: 10, Per: time.Second, Burst: 20},
		"10 per second leaky":        {Algorithm: bucket.LeakyBucket, Count: 10, Per: time.Second},
		"10/second BURST 5  Leaky":   {Algorithm: bucket.LeakyBucket, Count: 10, Per: time.Second, Burst: 5},
		"5 per 2 day fixed":          {Algorithm: bucket.FixedWindow, Count: 5, Per: 48 * time.Hour},
		"5/minute fixed aligned":     {Algorithm: bucket.FixedWindow, Count: 5, Per: time.Minute, Aligned: true},
		"100/hour log":               {Algorithm: bucket.SlidingLog, Count: 100, Per: time.Hour},
		"1000 per day calendar":      {Algorithm: bucket.FixedWindow, Count: 1000, Per: bucket.Day, Calendar: true},
		"5/week fixed CALENDAR":      {Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Week, Calendar: true},
		"5 per 1 weeks calendar":     {Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Week, Calendar: true},
		"5 per year calendar in UTC": {Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Year, Calendar: true, Zone: "UTC"},
		"5 per month calendar in America/Argentina/Buenos_Aires": {Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Month, Calendar: true, Zone: "America/Argentina/Buenos_Aires"},
		"5 per month in Etc/GMT+5 calendar":                      {Algorithm: bucket.FixedWindow, Count: 5, Per: bucket.Month, Calendar: true, Zone: "Etc/GMT+5"},
		"5/minute\taligned\nsliding":                             {Algorithm: bucket.SlidingWindow, Count: 5, Per: time.Minute, Aligned: true},
	} {
		limits, err := bucket.ParseLimits(text + " ; 1/day")
		if err != nil || len(limits) != 2 || limits[0] != want {
			t.Errorf("%q: got %+v, %v", text, limits, err)
			continue
		}
		again, err := bucket.ParseLimits(want.String())
		if err != nil || again[0] != want {
			t.Errorf("%q reads %+v, %v", want.String(), again, err)
		}
	}
}

func TestWordsRefused(t *testing.T) {
	for text, offset := range map[string]int{
		"10/second bust 20":                10,
		"10/second burst":                  15,
		"10/second burst -1":               16,
		"10/second fixed leaky":            16,
		"10/second 20":                     10,
		"10/week":                          3,
		"10/week sliding":                  3,
		"10/3 days calendar":               3,
		"10/30 days calendar":              3,
		"10/hour calendar":                 3,
		"10/day calendar in":               18,
		"10/day calendar in ;":             19,
		"10/day calendar in Europe/Berlln": 19,
		"10/day calendar in Local":         19,
		"10/day calendar in ../UTC":        19,
	} {
		_, err := bucket.ParseLimits(text)
		if e, ok := err.(*bucket.ParseError); !ok || e.Offset != offset {
			t.Errorf("%q: got %v, want an error at %d", text, err, offset)
		}
	}
}

// What can be written needn't make sense together.
func TestWordsThatDontGoTogether(t *testing.T) {
	for _, text := range []string{"10/second fixed burst 20", "10/second aligned", "10/second leaky aligned", "5000000000/day sliding",
		"1025/day log", "10/day log aligned", "10/day log burst 5", "10/day sliding calendar", "10/day calendar aligned", "10/day fixed in UTC"} {
		limits, err := bucket.ParseLimits(text)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := bucket.NewRule("r", limits); err == nil {
			t.Errorf("%q makes %v", text, r)
		}
	}
}

func TestLeakyBucketDelays(t *testing.T) {
	store := newStore()
	rule := bucket.MustRule("r", "10/second leaky burst 3; 100/hour")
	for i, want := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond} {
		if d := store.Take(rule, "key", 1, 0); !d.Allowed || d.Delay != want {
			t.Errorf("hit %d: %+v, want a delay of %v", i+1, d, want)
		}
	}
	if d := store.Take(rule, "key", 1, 0); d.Allowed || d.RetryAfter != 100*time.Millisecond || d.Delay != 0 {
		t.Errorf("a hit that finds the queue full: %+v", d)
	}
}

func TestAlignedWindowsFollowTheWall(t *testing.T) {
	wall := time.Date(2026, 1, 1, 12, 0, 50, 0, time.UTC)
	store := bucket.NewStore(bucket.StoreConfig{Epoch: wall.UnixNano()})
	rule := bucket.MustRule("r", "2/minute fixed aligned")
	for i, want := range []bool{true, true, false} {
		if d := store.Take(rule, "key", 1, 0); d.Allowed != want || d.ResetAfter != 10*time.Second {
			t.Errorf("hit %d: %+v", i+1, d)
		}
	}
	if d := store.Take(rule, "key", 2, int64(10*time.Second)); !d.Allowed || d.ResetAfter != time.Minute {
		t.Errorf("in the next minute: %+v", d)
	}
}

// What was taken stays taken when a limit's numbers or its algorithm change.
func TestChangedLimitsOfEveryAlgorithm(t *testing.T) {
	named := func(l bucket.Limit) *bucket.Rule {
		l.Name = "x"
		r, err := bucket.NewRule("r", []bucket.Limit{l})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, from := range algorithms {
		for _, to := range algorithms {
			store := newStore()
			twenty := named(bucket.Limit{Algorithm: from, Count: 20, Per: time.Hour})
			ten := named(bucket.Limit{Algorithm: to, Count: 10, Per: time.Hour})
			store.Take(twenty, "key", 10, 0)
			if d := store.Take(ten, "key", 1, 0); d.Allowed || d.Remaining != 0 {
				t.Errorf("10 used of 20 %v, now 10 %v: %+v", from, to, d)
			}
			if d := store.Take(twenty, "key", 0, 0); d.Remaining != 10 {
				t.Errorf("and back: %+v", d)
			}
		}
	}
}
