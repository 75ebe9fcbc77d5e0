package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// pairOf starts two replicas and returns one that asks and the other, whose keys it
// asks about.
func (f *fleet) pairOf() (asker, holder *replica) {
	f.Helper()
	f.start(2)
	f.ready(formTime, f.replicas...)
	return f.replicas[0], f.replicas[1]
}

// forwarded is how many hits have gone to another replica.
func (r *replica) forwarded() int64 { return r.decided(cluster.PathForwarded) }

// decided is how many decisions came about by a path.
func (r *replica) decided(by cluster.Path) (count int64) {
	for _, d := range r.Metrics().Decisions {
		if d.Path == by {
			count += d.Count
		}
	}
	return count
}

// A key that was refused costs no message until it can pass, or half a second has gone
// by, however often it is asked about; and what is said of it falls with time.
func TestARefusedKeyIsRefusedWhereItIsAsked(t *testing.T) {
	story(t, func(f *fleet) {
		asker, holder := f.pairOf()
		rule := bucket.MustRule("api", "1 per 3 seconds")
		key := holder.keyOf(rule, 0)
		began := time.Now()
		if d := asker.ask(rule, key, 1); !d.Allowed {
			f.Fatalf("the first: %+v", d)
		}
		last := bucket.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
		for asked := time.Duration(0); asked < 2900*time.Millisecond; asked = time.Since(began) {
			d := asker.ask(rule, key, 1)
			if d.Allowed || d.Degraded || d.Remaining != 0 || d.Limit != rule.Limits()[0] {
				f.Fatalf("after %v: %+v", asked, d)
			}
			// Half a round trip passed before the holder took the token.
			if left := 3*time.Second + latency - time.Since(began); d.RetryAfter < left || d.RetryAfter > left+roundTrip || d.ResetAfter != d.RetryAfter || d.RetryAfter > last.RetryAfter {
				f.Fatalf("%v are left and not %v or %v, after %v", left, d.RetryAfter, d.ResetAfter, last.RetryAfter)
			}
			last = d
			time.Sleep(time.Millisecond)
		}
		if n := asker.forwarded(); n < 7 || n > 8 { // the first, and one in each half second
			f.Errorf("%d messages in 2.9 s", n)
		}
		time.Sleep(last.RetryAfter)
		if d := asker.ask(rule, key, 1); !d.Allowed {
			f.Errorf("after RetryAfter: %+v", d)
		}
		if n := asker.decided(cluster.PathDenied); n < 2500 {
			f.Errorf("%d refused here: %+v", n, asker.Metrics().Decisions)
		}
	})
}

// A refusal says nothing of what costs less, and all of what costs more.
func TestARefusalOfMuchLetsLittlePass(t *testing.T) {
	story(t, func(f *fleet) {
		asker, holder := f.pairOf()
		rule := bucket.MustRule("api", "10/minute")
		key := holder.keyOf(rule, 0)
		for _, tt := range []struct {
			cost    int64
			allowed bool
			retry   time.Duration // at least, and at most a second longer
			local   bool
		}{
			{7, true, 0, false},
			{5, false, 11 * time.Second, false}, // 3 are left; one comes every 6 s
			{5, false, 11 * time.Second, true},
			{6, false, 17 * time.Second, true},
			{10, false, 41 * time.Second, true},
			{11, false, bucket.Never, true},
			{4, false, 5 * time.Second, false},
			{5, false, 11 * time.Second, true}, // now told by the refusal of 4
			{3, true, 0, false},
			{1, false, 5 * time.Second, false},
			{3, false, 17 * time.Second, true},
		} {
			before := asker.forwarded()
			d := asker.ask(rule, key, tt.cost)
			if d.Allowed != tt.allowed || d.RetryAfter < tt.retry || tt.retry != bucket.Never && d.RetryAfter > tt.retry+time.Second || tt.local != (asker.forwarded() == before) {
				f.Errorf("%+v: %+v", tt, d)
			}
		}
	})
}

// What makes a refusal wrong is known at once where it is known: a Reset everywhere,
// a Refund where it was made, and elsewhere within half a second.
func TestRefusalsEndWithResetsAndRefunds(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		holder, a, b := f.replicas[0], f.replicas[1], f.replicas[2]
		rule := bucket.MustRule("api", "1/hour")
		key := holder.keyOf(rule, 0)
		exhaust := func() (d bucket.Decision) {
			d = a.ask(rule, key, 1)
			if !d.Allowed || a.ask(rule, key, 1).Allowed || b.ask(rule, key, 1).Allowed {
				f.Fatalf("exhausting: %+v", d)
			}
			return d
		}
		exhaust()
		if err := a.Reset(f.Context(), rule, key); err != nil {
			f.Fatal(err)
		}
		d := exhaust() // so it was whole at once
		if err := b.Reset(f.Context(), rule, key); err != nil {
			f.Fatal(err)
		}
		d = exhaust()
		if err := a.Refund(f.Context(), rule, key, d.Receipt); err != nil {
			f.Fatal(err)
		}
		if d = a.ask(rule, key, 1); !d.Allowed {
			f.Errorf("after a refund from here: %+v", d)
		}
		if err := a.Refund(f.Context(), rule, key, d.Receipt); err != nil {
			f.Fatal(err)
		}
		time.Sleep(denialCap)
		if d = b.ask(rule, key, 1); !d.Allowed {
			f.Errorf("half a second after a refund from elsewhere: %+v", d)
		}
		// Now a knows that hits of the rule are refunded, and remembers a refusal for a
		// moment only.
		if d := a.ask(rule, key, 1); d.Allowed {
			f.Errorf("a token too many: %+v", d)
		}
		if err := b.Refund(f.Context(), rule, key, d.Receipt); err != nil {
			f.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		if d := a.ask(rule, key, 1); !d.Allowed {
			f.Errorf("10 ms after another refund: %+v", d)
		}
	})
}

// The mode is what this replica makes of a verdict, wherever that comes from; Peek and
// a hit without cost look at the bucket itself.
func TestRefusalsInEveryMode(t *testing.T) {
	story(t, func(f *fleet) {
		asker, holder := f.pairOf()
		rule := bucket.MustRule("api", "1/hour; mode shadow")
		key := holder.keyOf(rule, 0)
		asker.ask(rule, key, 1)
		for range 5 {
			if d := asker.ask(rule, key, 1); !d.Allowed || !d.WouldRefuse || d.RetryAfter == 0 {
				f.Errorf("in shadow mode: %+v", d)
			}
		}
		if err := asker.SetMode(rule, bucket.Enforce); err != nil {
			f.Fatal(err)
		}
		if d := asker.ask(rule, key, 1); d.Allowed {
			f.Errorf("enforced: %+v", d)
		}
		if err := asker.SetMode(rule, bucket.Off); err != nil {
			f.Fatal(err)
		}
		if d := asker.ask(rule, key, 1); !d.Allowed || d.WouldRefuse {
			f.Errorf("off: %+v", d)
		}
		if n := asker.forwarded(); n != 2 {
			f.Errorf("%d messages", n)
		}
		if err := asker.SetMode(rule, bucket.Enforce); err != nil {
			f.Fatal(err)
		}
		if err := holder.Reset(f.Context(), rule, key); err != nil {
			f.Fatal(err)
		}
		asker.ask(rule, key, 1)
		asker.ask(rule, key, 1)
		if d := holder.ask(rule, key, 1); d.Allowed {
			f.Errorf("at the holder: %+v", d)
		}
		if d, err := asker.Peek(f.Context(), rule, key, 1); err != nil || d.Allowed || d.ResetAfter > time.Hour-roundTrip {
			f.Errorf("a peek: %+v, %v", d, err)
		}
		if d := asker.ask(rule, key, 0); !d.Allowed || d.Remaining != 0 {
			f.Errorf("a hit of nothing: %+v", d)
		}
	})
}

// A refusal belongs to the rule's numbers: others are asked about, and what they let
// pass may make it wrong.
func TestRefusalsUnderOtherNumbers(t *testing.T) {
	story(t, func(f *fleet) {
		asker, holder := f.pairOf()
		few, many := bucket.MustRule("api", "2/hour"), bucket.MustRule("api", "3/hour")
		key := holder.keyOf(few, 0)
		for i, want := range []bool{true, true, false, false} {
			if d := asker.ask(few, key, 1); d.Allowed != want {
				f.Errorf("hit %d of 2 an hour: %+v", i+1, d)
			}
		}
		for i, want := range []bool{true, false, false} {
			if d := asker.ask(many, key, 1); d.Allowed != want || d.Limit.Count != 3 {
				f.Errorf("hit %d of 3 an hour: %+v", i+1, d)
			}
		}
		again := bucket.MustRule("api", "3/hour") // made anew for each hit, as some do
		before := asker.forwarded()
		if d := asker.ask(again, key, 1); d.Allowed || asker.forwarded() != before {
			f.Errorf("the same numbers once more: %+v", d)
		}
	})
}

// What was decided without the holder is no reason to refuse, be it by the policy or by
// a standby.
func TestDegradedRefusalsAreNotRepeated(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		asker, holder := f.replicas[0], f.replicas[1]
		rule := bucket.MustRule("api", "1/hour", bucket.WithFailurePolicy(bucket.Deny))
		var keys []string
		for i := range 20 {
			keys = append(keys, holder.keyOf(rule, i))
			if !asker.ask(rule, keys[i], 1).Allowed {
				f.Fatalf("key %d", i)
			}
		}
		time.Sleep(2 * replicateTime)
		holder.host.Crash()
		byCopy := 0
		for began := time.Now(); time.Since(began) < 900*time.Millisecond; {
			for _, key := range keys {
				if d := asker.ask(rule, key, 1); !d.Allowed && d.Degraded && d.RetryAfter > time.Minute {
					byCopy++
				}
			}
		}
		if n := asker.decided(cluster.PathDenied); n != 0 || byCopy < 20 {
			f.Errorf("%d repeated, %d refused by a copy", n, byCopy)
		}
	})
}

// However many keys are refused, each is decided right: what there is no room for is
// asked about.
func TestMoreKeysAreRefusedThanThereIsRoomFor(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(2)
		f.ready(formTime, f.replicas...)
		asker, rule := f.replicas[0], bucket.MustRule("api", "1/hour")
		const keys = 6000
		for i := range 2 * keys {
			for j := range 3 {
				if d := asker.ask(rule, fmt.Sprint("key ", i%keys), 1); d.Allowed != (i < keys && j == 0) {
					f.Fatalf("hit %d of key %d: %+v", j, i, d)
				}
			}
		}
		if n := asker.decided(cluster.PathDenied); n < keys {
			f.Errorf("%d refused here", n)
		}
	})
}

// Penalties count what is refused where it is asked: with the next hit that goes to the
// holder, and a tenth of a second later at the latest.
func TestPenaltiesCountWhatIsRefusedElsewhere(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		holder, asker, other := f.replicas[0], f.replicas[1], f.replicas[2]
		rule := bucket.MustRule("api", "2/second; penalty 20/hour fixed")
		key := holder.keyOf(rule, 0)
		began := time.Now()
		for i := range 12 {
			if d := asker.ask(rule, key, 1); d.Allowed != (i < 2) {
				f.Errorf("hit %d: %+v", i, d)
			}
		}
		if n := asker.forwarded(); n != 3 {
			f.Errorf("%d messages: two that passed, and the refusal", n)
		}
		time.Sleep(100 * time.Millisecond)
		for i := range 10 { // of 20 refusals 10 are left
			if d, err := other.Peek(f.Context(), rule, key, 1); err != nil || d.Limit.Count != 2 {
				f.Errorf("after %d: %+v, %v", 10+i, d, err)
			}
			if d := other.ask(rule, key, 1); d.Allowed {
				f.Errorf("refusal %d: %+v", 11+i, d)
			}
		}
		time.Sleep(time.Second - time.Since(began) - 10*time.Millisecond)
		if d := asker.ask(rule, key, 1); d.Allowed || d.Limit.Count != 20 || d.RetryAfter < 58*time.Minute {
			f.Errorf("after 20 refusals: %+v", d)
		}
		time.Sleep(2 * time.Second)
		if d := other.ask(rule, key, 1); d.Allowed || d.Limit.Count != 20 {
			f.Errorf("2 s later: %+v", d)
		}

		// The hit that comes when the refusal is over takes along what the penalty should
		// know before it decides.
		quick := bucket.MustRule("quick", "50/second burst 1; penalty 20/hour fixed")
		key = holder.keyOf(quick, 0)
		for range 30 {
			asker.ask(quick, key, 1)
		}
		time.Sleep(20 * time.Millisecond)
		if d := asker.ask(quick, key, 1); d.Allowed || d.Limit.Count != 20 {
			f.Errorf("the penalty doesn't know yet: %+v", d)
		}
	})
}
