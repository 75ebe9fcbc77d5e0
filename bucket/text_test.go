package bucket_test

import (
	"encoding/json"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

var _ flag.Value = (*bucket.Limit)(nil)

func TestLimitsAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := bucket.Limit{
			Algorithm: rapid.SampledFrom(algorithms[:]).Draw(t, "algorithm"),
			Count:     rapid.Int64Range(0, 1<<32-1).Draw(t, "count"),
			Per:       time.Second * time.Duration(rapid.Int64Range(1, 1<<30).Draw(t, "seconds")),
		}
		switch {
		case want.Algorithm <= bucket.LeakyBucket:
			want.Burst = rapid.Int64Range(0, 100).Draw(t, "burst")
		case want.Algorithm == bucket.FixedWindow && rapid.Bool().Draw(t, "calendar"):
			want.Calendar = true
			want.Per = rapid.SampledFrom([]time.Duration{bucket.Day, bucket.Week, bucket.Month, bucket.Year}).Draw(t, "unit")
			want.Zone = rapid.SampledFrom([]string{"", "UTC", "Europe/Berlin", "Etc/GMT-14"}).Draw(t, "zone")
		case want.Algorithm != bucket.SlidingLog:
			want.Aligned = rapid.Bool().Draw(t, "aligned")
		}
		if want.Burst == want.Count {
			want.Burst = 0
		}
		if rapid.IntRange(0, 9).Draw(t, "at a time") == 0 {
			want = bucket.Limit{Algorithm: bucket.Concurrent, Count: want.Count}
		}
		text, err := json.Marshal(map[string]bucket.Limit{"limit": want})
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Limit bucket.Limit }
		if err := json.Unmarshal(text, &got); err != nil || got.Limit != want {
			t.Fatalf("%s became %+v, %v", text, got, err)
		}
	})
}

func TestLimitsThatAreNoText(t *testing.T) {
	for _, l := range []bucket.Limit{
		{Name: "named", Count: 1, Per: time.Second},
		{Count: 1, Per: time.Millisecond},
		{Algorithm: bucket.Concurrent, Count: 1, Per: time.Second},
		{Algorithm: bucket.Concurrent, Count: 1, Burst: 2},
		{Algorithm: bucket.Concurrent, Count: 1, Aligned: true},
		{Count: -1, Per: time.Second},
		{Count: 1, Per: bucket.Day, Calendar: true},
		{Algorithm: bucket.FixedWindow, Count: 1, Per: 2 * bucket.Week, Calendar: true},
		{Algorithm: bucket.FixedWindow, Count: 1, Per: bucket.Week, Calendar: true, Zone: "Nowhere"},
		{},
	} {
		text, err := l.MarshalText()
		if err == nil || !strings.HasPrefix(err.Error(), "bucket: limit ") || !strings.Contains(err.Error(), "field") {
			t.Errorf("%+v is %q, %v", l, text, err)
		}
	}
	for _, text := range []string{"", "1/second; 2/minute", "nonsense"} {
		l := bucket.Limit{Count: 7, Per: time.Hour}
		if err := l.UnmarshalText([]byte(text)); err == nil || l.Count != 7 {
			t.Errorf("%q is %+v, %v", text, l, err)
		}
	}
}

func TestLimitAsFlag(t *testing.T) {
	l := bucket.Limit{Count: 10, Per: time.Minute}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&l, "limit", "")
	if err := flags.Parse([]string{"-limit", "5/hour sliding"}); err != nil || l.String() != "5 per 1 hour sliding" {
		t.Errorf("%v, %v", l, err)
	}
	if err := flags.Parse([]string{"-limit", "5/hours ago"}); err == nil {
		t.Error("no error")
	}
}
