package grpcmw_test

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/grpcmw"
	"github.com/shoal-dev/shoal/httpmw"
)

// Metadata has the names and values of the headers, whatever was decided. Those are
// read back as structured fields in the tests of httpmw.
func TestFieldsAreHTTPs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t)
		d := bucket.Decision{
			Allowed:    rapid.Bool().Draw(t, "allowed"),
			Limit:      rapid.SampledFrom(append(rule.Limits(), rule.Penalties()...)).Draw(t, "limit"),
			Remaining:  drawCount(t, "remaining"),
			RetryAfter: drawWait(t, "retry after"),
			ResetAfter: drawWait(t, "reset after"),
			Degraded:   rapid.Bool().Draw(t, "degraded"),
		}
		d.WouldRefuse = d.Allowed && rapid.Bool().Draw(t, "would refuse")
		if rapid.Bool().Draw(t, "another rule's") {
			d.Limit = bucket.Limit{Name: `a "\`, Count: 1, Per: bucket.Never, Burst: 1000}
		}
		h := http.Header{}
		httpmw.SetHeaders(h, rule, d)
		want := metadata.MD{}
		for name, values := range h {
			want[strings.ToLower(name)] = values
		}
		got := grpcmw.Fields(context.Background(), rule, d)
		pushback := got["grpc-retry-pushback-ms"]
		delete(got, "grpc-retry-pushback-ms")
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		if (len(pushback) > 0) != (len(want) > 0 && !d.Allowed && (want["retry-after"] != nil || d.RetryAfter == bucket.Never)) {
			t.Fatalf("%+v has pushback %q", d, pushback)
		}
		for _, s := range pushback {
			ms, err := strconv.ParseInt(s, 10, 32)
			wait := time.Duration(ms) * time.Millisecond
			if err != nil || ms == -1 && d.RetryAfter <= math.MaxInt32*time.Millisecond || ms < -1 || ms >= 0 && (wait < d.RetryAfter || wait-time.Millisecond >= d.RetryAfter) {
				t.Fatalf("%v is pushed back by %s", d.RetryAfter, s)
			}
		}
	})
}

func drawRule(t *rapid.T) *bucket.Rule {
	if rapid.Bool().Draw(t, "concurrent") {
		return bucket.MustRule("rule", strconv.Itoa(rapid.IntRange(0, 10).Draw(t, "count"))+" concurrent")
	}
	var limits []bucket.Limit
	var names []string
	for range rapid.IntRange(1, bucket.MaxLimits-1).Draw(t, "limits") {
		l := bucket.Limit{
			Name:      string(rapid.SliceOfN(rapid.OneOf(rapid.ByteRange(' ', '~'), rapid.SampledFrom([]byte(`"\,;= `))), 0, 64).Draw(t, "name")),
			Algorithm: rapid.SampledFrom([]bucket.Algorithm{bucket.TokenBucket, bucket.LeakyBucket, bucket.FixedWindow}).Draw(t, "algorithm"),
			Count:     drawCount(t, "count"),
			Per:       min(max(drawWait(t, "per"), 1), 1<<61),
		}
		if l.Algorithm != bucket.FixedWindow && l.Count > 0 {
			l.Burst = rapid.Int64Range(1, min(1000, 1<<62/int64(l.Per))).Draw(t, "burst")
		}
		if slices.Contains(names, l.Name) {
			l.Name = ""
		}
		limits, names = append(limits, l), append(names, l.Name)
	}
	var opts []bucket.RuleOption
	if rapid.Bool().Draw(t, "with a penalty") {
		opts = append(opts, bucket.WithPenalty(bucket.Limit{Algorithm: bucket.FixedWindow, Count: 20, Per: time.Hour}))
	}
	opts = append(opts, bucket.WithMode(rapid.SampledFrom([]bucket.Mode{bucket.Enforce, bucket.Enforce, bucket.Shadow, bucket.Off}).Draw(t, "mode")))
	rule, err := bucket.NewRule("rule", limits, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

func drawCount(t *rapid.T, label string) int64 {
	return rapid.OneOf(
		rapid.Int64Range(0, 1000),
		rapid.SampledFrom([]int64{999_999_999_999_999, 1_000_000_000_000_000, math.MaxInt64}),
	).Draw(t, label)
}

func drawWait(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(
		rapid.Int64Range(0, 1e12),
		rapid.SampledFrom([]int64{0, 1, 1e6 - 1, 1e6, 1e6 + 1, 1e9, 1e9 + 1, math.MaxInt32 * 1e6, math.MaxInt32*1e6 + 1, math.MaxInt64 - 1, math.MaxInt64}),
		rapid.Int64Range(0, math.MaxInt64),
	).Draw(t, label))
}

// A client that can't wait so long should hear so at once.
func TestPushbackWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := bucket.MustRule("api", "10/minute")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for after, want := range map[time.Duration]string{
			time.Second - 1: "1000",
			time.Second:     "1000",
			time.Second + 1: "-1",
		} {
			md := grpcmw.Fields(ctx, rule, bucket.Decision{Limit: rule.Limits()[0], RetryAfter: after})
			if got := first(md, "grpc-retry-pushback-ms"); got != want {
				t.Errorf("%v: got %s, want %s", after, got, want)
			}
		}
	})
}

func TestErrorOfAllowed(t *testing.T) {
	if err := grpcmw.Error(bucket.MustRule("api", "10/minute"), allowed); err != nil {
		t.Error(err)
	}
}
