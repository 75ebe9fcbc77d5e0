package bucket_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// replicas are stores that decide by a share of each limit, without each other.
type replicas []*bucket.Store

func newReplicas(k int) (rs replicas) {
	for range k {
		rs = append(rs, newStore())
	}
	return rs
}

func (rs replicas) take(i int, r *bucket.Rule, n, now int64) bucket.Verdict {
	return rs[i].TakeShare(r, rs[i].Digest(r, "key"), n, now, len(rs))
}

// Together the replicas admit no more than the limit, in any interval; each
// replica that asks again and again makes the most of its share.
func TestSharesAddUpToTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := drawLimit(t)
		k := rapid.IntRange(1, int(min(limit.Capacity(), 7))).Draw(t, "replicas")
		limit.Per = min(limit.Per, 1<<58) // as TestShareOfDecades says
		rule, rs := newRule(t, "r", limit), newReplicas(k)
		var admitted []hit
		now := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		for range 40 {
			next := int64(maxTime)
			n := rapid.SampledFrom([]int64{1, 1, limit.Capacity()/int64(2*k) + 1}).Draw(t, "n")
			for i := range rs {
				v := rs.take(i, rule, n, now)
				if v.Allowed {
					admitted = append(admitted, hit{now, n})
				} else if int64(v.RetryAfter) <= maxTime-now {
					next = min(next, now+int64(v.RetryAfter))
				}
			}
			if rapid.Bool().Draw(t, "soon") {
				next = drawLater(t, rule, now)
			}
			now = next
		}
		checkEveryInterval(t, limit, admitted)
	})
}

func TestShare(t *testing.T) {
	limit := func(count, burst int64, per time.Duration) bucket.Limit {
		return bucket.Limit{Count: count, Burst: burst, Per: per}
	}
	for name, c := range map[string]struct {
		limit    bucket.Limit
		replicas int
		burst    int64         // each may take at once
		retry    time.Duration // until the next token
	}{
		"of one":                {limit(10, 0, time.Minute), 1, 10, 6 * time.Second},
		"of none":               {limit(10, 0, time.Minute), 0, 10, 6 * time.Second},
		"of fewer than none":    {limit(10, 0, time.Minute), -3, 10, 6 * time.Second},
		"of two":                {limit(10, 0, time.Minute), 2, 5, 12 * time.Second},
		"of three":              {limit(10, 0, time.Minute), 3, 3, 18 * time.Second},
		"more than tokens":      {limit(10, 0, time.Minute), 100, 1, 10 * time.Minute},
		"burst above the count": {limit(10, 40, time.Minute), 4, 10, 24 * time.Second},
		"burst of one":          {limit(10, 1, time.Minute), 4, 1, 24 * time.Second},
		"rate that isn't whole": {limit(7, 0, time.Second), 3, 2, 428_571_429},
		"the largest count":     {limit(math.MaxInt64, 0, time.Second), 2, math.MaxInt64 / 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			rule, store := newRule(t, "r", c.limit), newStore()
			d := store.Digest(rule, "key")
			if v := store.TakeShare(rule, d, c.burst+1, 0, c.replicas); v.Allowed {
				t.Errorf("more than %d passed: %+v", c.burst, v)
			}
			if v := store.TakeShare(rule, d, c.burst, 0, c.replicas); !v.Allowed || v.Remaining != 0 {
				t.Errorf("%d: got %+v", c.burst, v)
			}
			if v := store.TakeShare(rule, d, 1, 0, c.replicas); v.Allowed || v.RetryAfter != c.retry {
				t.Errorf("one more: got %+v, want to wait %v", v, c.retry)
			}
		})
	}
}

// Where the window times the replicas is beyond 146 years, the count is divided
// instead, rounded down, but to one at least: one per replica and window.
func TestShareOfDecades(t *testing.T) {
	const century = 100 * 360 * day
	for _, c := range []struct{ count, replicas, share int64 }{
		{100, 10, 10}, {99, 10, 9}, {10, 10, 1}, {9, 10, 1}, {1, 10, 1}, {1, math.MaxInt, 1},
	} {
		rule, store := newRule(t, "r", bucket.Limit{Count: c.count, Per: century}), newStore()
		v := store.TakeShare(rule, store.Digest(rule, "key"), c.share, 0, int(c.replicas))
		if !v.Allowed || v.Remaining != 0 || v.ResetAfter != century {
			t.Errorf("%+v: got %+v", c, v)
		}
	}
}

func TestShareOfNothing(t *testing.T) {
	rule, store := bucket.MustRule("r", "5/second; 0/minute"), newStore()
	v := store.TakeShare(rule, store.Digest(rule, "key"), 1, 0, 2)
	if want := (bucket.Verdict{Limit: 1, RetryAfter: never}); v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

// When replicas come and go, what was consumed of the share is kept.
func TestShareFollowsTheReplicas(t *testing.T) {
	rule, store := bucket.MustRule("r", "100/hour"), newStore()
	d := store.Digest(rule, "key")
	for i, c := range []struct {
		replicas  int
		n         int64
		allowed   bool
		remaining int64
	}{
		{2, 30, yes, 20}, {4, 0, no, 0}, {1, 10, yes, 60}, {2, 10, yes, 0}, {10, 1, no, 0}, {1, 50, yes, 0},
	} {
		if v := store.TakeShare(rule, d, c.n, 0, c.replicas); v.Allowed != c.allowed || v.Remaining != c.remaining {
			t.Errorf("step %d: %+v: got %+v", i, c, v)
		}
	}
}
