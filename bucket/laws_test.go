package bucket_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

func TestWaitingRetryAfterAdmits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 1, 4)
		now, _ := walk(t, store, rule, "key")
		checkRetryAfter(t, store, rule, drawTokens(t, rule), now)
	})
}

// checkRetryAfter lets a hit come in and, if it is refused, again when it was
// told to and a nanosecond before.
func checkRetryAfter(t *rapid.T, store *bucket.Store, rule *bucket.Rule, n, now int64) {
	d := store.Take(rule, "key", n, now)
	wait := int64(d.RetryAfter)
	switch {
	case d.Allowed:
		if wait != 0 {
			t.Fatalf("allowed, and yet told to wait: %+v", d)
		}
	case d.RetryAfter == never:
		if n <= d.Limit.Capacity() {
			t.Fatalf("%d tokens will never pass: %+v", n, d)
		}
	case wait <= 0:
		t.Fatalf("refused without a wait: %+v", d)
	case wait <= maxTime-now:
		if early := store.Take(rule, "key", n, now+wait-1); early.Allowed || early.RetryAfter != 1 || early.Limit != d.Limit {
			t.Fatalf("%d tokens, told %+v; a nanosecond early: %+v", n, d, early)
		}
		if due := store.Take(rule, "key", n, now+wait); !due.Allowed {
			t.Fatalf("%d tokens, told %+v; after waiting: %+v", n, d, due)
		}
	}
}

func TestNoIntervalSeesTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 1, 3)
		_, admitted := walk(t, store, rule, "key")
		for _, l := range rule.Limits() {
			checkEveryInterval(t, l, admitted)
		}
	})
}

func TestRemainingIsWhatCanBeTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 1, 1)
		now, _ := walk(t, store, rule, "key")
		d := peek(store, rule, "key", now)
		left, burst := d.Remaining, d.Limit.Capacity()
		if !d.Allowed || left < 0 || left > burst {
			t.Fatalf("of %d: %+v", burst, d)
		}
		if left < burst {
			if more := store.Take(rule, "key", left+1, now); more.Allowed {
				t.Fatalf("%d remained, but one more passed: %+v", left, more)
			}
		}
		if all := store.Take(rule, "key", left, now); !all.Allowed || all.Remaining != 0 {
			t.Fatalf("%d remained, but taking them: %+v", left, all)
		}
	})
}

func TestResetAfterIsWhenTheLimitIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 1, 1)
		now, _ := walk(t, store, rule, "key")
		d := peek(store, rule, "key", now)
		reset := int64(d.ResetAfter)
		if reset < 0 || reset == 0 && d.Remaining < d.Limit.Capacity() {
			t.Fatalf("%+v", d)
		}
		if reset == 0 || reset > maxTime-now {
			return
		}
		if early := peek(store, rule, "key", now+reset-1); early.ResetAfter != 1 {
			t.Fatalf("told %+v; a nanosecond early: %+v", d, early)
		}
		if whole := peek(store, rule, "key", now+reset); whole.ResetAfter != 0 || whole.Remaining != d.Limit.Capacity() {
			t.Fatalf("told %+v; then: %+v", d, whole)
		}
	})
}

// A store that meets every hit and one that meets only those the first admitted
// can't be told apart.
func TestRefusedHitsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		busy, calm, rule := newStore(), newStore(), drawRule(t, 1, 4)
		now, admitted := walk(t, busy, rule, "key")
		for _, h := range admitted {
			calm.Take(rule, "key", h.n, h.at)
		}
		for range 5 {
			n := drawTokens(t, rule)
			if a, b := busy.Take(rule, "key", n, now), calm.Take(rule, "key", n, now); a != b {
				t.Fatalf("%d tokens at %d: %+v after refusals, %+v without", n, now, a, b)
			}
			now = drawLater(t, rule, now)
		}
		if busy.Len() != calm.Len() {
			t.Fatalf("%d entries after refusals, %d without", busy.Len(), calm.Len())
		}
	})
}

func TestAllLimitsAreChargedOrNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, rule := newStore(), drawRule(t, 2, 4)
		now, _ := walk(t, store, rule, "key")
		before := apart(t, store, rule, now)
		n := drawTokens(t, rule)
		d := store.Take(rule, "key", n, now)
		after := apart(t, store, rule, now)
		for i, was := range before {
			is, want := after[i], was.Remaining
			if d.Allowed {
				want -= n
			}
			if is.Remaining != want {
				t.Fatalf("%d tokens, %+v: limit %d had %d, now %d", n, d, i, was.Remaining, is.Remaining)
			}
			if is.Remaining < d.Remaining && d.Allowed {
				t.Fatalf("%+v isn't the limit nearest to refusing: %+v", d, is)
			}
		}
	})
}

// apart looks at each limit of a rule by itself. That they are named makes their
// state their own whatever rule of this name they stand in.
func apart(t *rapid.T, s *bucket.Store, r *bucket.Rule, now int64) []bucket.Decision {
	var all []bucket.Decision
	for _, l := range r.Limits() {
		all = append(all, peek(s, newRule(t, r.Name(), l), "key", now))
	}
	return all
}

func TestTheLongestWaitIsReported(t *testing.T) {
	store, rule := newStore(), bucket.MustRule("login", "5/second; 10/minute; 11/hour")
	perSecond, perMinute, perHour := rule.Limits()[0], rule.Limits()[1], rule.Limits()[2]
	for i, s := range []struct {
		at, n int64
		want  bucket.Decision
	}{
		{0, 1, bucket.Decision{Allowed: true, Limit: perSecond, Remaining: 4, ResetAfter: 200e6}},
		{0, 5, bucket.Decision{Limit: perSecond, Remaining: 4, RetryAfter: 200e6, ResetAfter: 200e6}},
		{0, 6, bucket.Decision{Limit: perSecond, Remaining: 4, RetryAfter: never, ResetAfter: 200e6}},
		{1e9, 5, bucket.Decision{Allowed: true, Limit: perSecond, Remaining: 0, ResetAfter: 1e9}},
		{2e9, 4, bucket.Decision{Allowed: true, Limit: perMinute, Remaining: 0, ResetAfter: 58e9}},
		{2e9, 2, bucket.Decision{Limit: perHour, Remaining: 1, RetryAfter: 325.272727273e9, ResetAfter: 3270.727272728e9}},
		{2e9, 1, bucket.Decision{Limit: perMinute, Remaining: 0, RetryAfter: 4e9, ResetAfter: 58e9}},
		{6e9, 1, bucket.Decision{Allowed: true, Limit: perHour, Remaining: 0, ResetAfter: 3594e9}},
	} {
		if got := bare(store.Take(rule, "key", s.n, s.at)); got != s.want {
			t.Errorf("step %d:\n got %+v\nwant %+v", i, got, s.want)
		}
	}
}
