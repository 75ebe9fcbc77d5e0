package test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// A service that is asked in its first second, as by whoever tries it out: it looks for
// others and decides by itself, and goes on counting from there.
func TestWhatALoneReplicaDecidesBeforeItIsReadyCounts(t *testing.T) {
	story(t, func(f *fleet) {
		f.seeds = []string{"10.0.0.99:7946"} // nobody's
		alone := f.startOne()
		rule, other := bucket.MustRule("api", "5/hour"), bucket.MustRule("all", "2/hour")
		for i := range 8 {
			if d := alone.ask(rule, "alice", 1); !d.Degraded || d.Allowed != (i < 5) {
				t.Errorf("hit %d before it is ready: %+v", i, d)
			}
		}
		charges := []bucket.Charge{{Rule: rule, Key: "alice", Tokens: 1}, {Rule: other, Key: "bob", Tokens: 2}}
		if ds, err := alone.TakeAll(f.Context(), charges); err != nil || ds[0].Allowed || !ds[1].Allowed {
			t.Errorf("before it is ready: %+v, %v", ds, err)
		}
		if alone.Ready() {
			t.Fatal("it is ready already")
		}
		f.ready(4*time.Second, alone)
		if d := alone.ask(rule, "alice", 1); d.Allowed || d.Degraded {
			t.Errorf("once it is ready: %+v", d)
		}
		if d := alone.ask(other, "bob", 2); !d.Allowed || d.Degraded {
			t.Errorf("what was given back: %+v", d)
		}
	})
}

// A rule whose policy is Deny or Allow has it carried out until the replica is ready.
func TestFailurePoliciesBeforeAReplicaIsReady(t *testing.T) {
	story(t, func(f *fleet) {
		f.seeds = []string{"10.0.0.99:7946"}
		alone := f.startOne()
		deny := bucket.MustRule("deny", "5/hour", bucket.WithFailurePolicy(bucket.Deny))
		allow := bucket.MustRule("allow", "5/hour", bucket.WithFailurePolicy(bucket.Allow))
		for range 6 {
			if d := alone.ask(deny, "alice", 1); d.Allowed || !d.Degraded {
				t.Errorf("deny: %+v", d)
			}
			if d := alone.ask(allow, "alice", 1); !d.Allowed || !d.Degraded {
				t.Errorf("allow: %+v", d)
			}
		}
	})
}

// What a replica admits before it has met the others, they hear of.
func TestWhatAReplicaDecidesBeforeItMeetsOthersIsOwed(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(2)
		f.ready(formTime, f.replicas...)
		host := f.net.Host("10.0.0.3")
		for _, r := range f.replicas {
			f.net.Cut(host, r.host)
		}
		rule := bucket.MustRule("api", "5/hour")
		early := f.startOne()
		for i := range 20 {
			if d := early.ask(rule, fmt.Sprint(i), 3); !d.Allowed || !d.Degraded {
				t.Errorf("before they meet: %+v", d)
			}
		}
		f.net.HealAll()
		f.ready(lookTime, f.replicas...)
		time.Sleep(time.Second)
		for i := range 20 {
			if d, err := f.replicas[i%3].Peek(f.Context(), rule, fmt.Sprint(i), 2); err != nil || d.Degraded || !d.Allowed || d.Remaining != 0 {
				t.Errorf("key %d of %s: %+v, %v", i, f.replicas[0].Owner(rule, fmt.Sprint(i)), d, err)
			}
		}
	})
}

func TestWaitReady(t *testing.T) {
	story(t, func(f *fleet) {
		first := f.startOne(func(c *cluster.Config) { c.Seeds = nil })
		began := time.Now()
		if err := first.WaitReady(f.Context()); err != nil || !first.Ready() || time.Since(began) > time.Second {
			t.Errorf("without seeds: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		if err := f.startOne().WaitReady(f.Context()); err != nil || time.Since(began) > time.Second {
			t.Errorf("the second: %v after %v", err, time.Since(began))
		}
		f.seeds = []string{"10.0.0.99:7946"}
		alone := f.startOne()
		within, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := alone.WaitReady(within); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("nobody answers: %v after %v", err, time.Since(began))
		}
		if err := alone.Close(f.Context()); err != nil {
			t.Error(err)
		}
		if err := alone.WaitReady(f.Context()); !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
