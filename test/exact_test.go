package test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// All replicas together admit what a limit holds, whoever is asked and however
// many ask at once: not a token more, and none fewer. The limits are so slow that
// none comes back meanwhile.
func TestManyAskersShareOneLimitExactly(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		for _, tt := range []storm{
			{"one limit", "100/hour", 1, []int64{1}, 100},
			{"a limit of one", "1/hour", 3, []int64{1}, 1},
			{"a limit of none", "0/hour", 1, []int64{1}, 0},
			{"the smallest of several", "80/minute; 60/hour; 70/day", 1, []int64{1}, 60},
			{"many keys", "10/hour; 200/day", 30, []int64{1}, 10},
			{"a cost that doesn't divide the limit", "100/hour", 1, []int64{7}, 98},
			{"all sorts of costs", "200/hour; 150/hour", 2, []int64{1, 2, 3, 5, 8, 13}, 150},
			{"a cost that never fits", "20/hour", 1, []int64{21}, 0},
			{"a fixed window", "50/hour fixed", 2, []int64{1}, 50},
			{"a sliding window and a bucket", "50/hour sliding; 60/day", 2, []int64{1}, 50},
		} {
			tt.strike(f)
		}
	})
}

// storm is many hits at once, and what of them must pass.
type storm struct {
	name   string // of the rule
	limits string
	keys   int
	costs  []int64 // the smallest first
	admits int64   // tokens of each key
}

func (s storm) strike(f *fleet) {
	const askers, hits = 12, 12 // at each replica
	rule := bucket.MustRule(s.name, s.limits)
	admitted := make([]atomic.Int64, s.keys)
	ask := func(r *replica, key int, cost int64) (allowed bool) {
		d := r.ask(rule, fmt.Sprint("key ", key), cost)
		if d.Degraded {
			f.Errorf("%s: a degraded decision", s.name)
		}
		if d.Allowed {
			admitted[key].Add(cost)
		}
		return d.Allowed
	}
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		for j := range askers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				for range hits {
					ask(r, random.IntN(s.keys), s.costs[random.IntN(len(s.costs))])
				}
			})
		}
	}
	wg.Wait()
	time.Sleep(max(lentTime, denialCap)) // what was lent to some of them is back, and the others know
	for key := range admitted {
		for ask(f.replicas[key%5], key, s.costs[0]) { // what was too little for the larger costs
		}
		if got := admitted[key].Load(); got != s.admits {
			f.Errorf("%s, key %d: %d tokens were admitted, want %d", s.name, key, got, s.admits)
		}
	}
}

// The two laws of the bucket hold from another replica as well, but for the time
// that an answer and the next question are under way, if none of the key is lent.
func TestRetryAfterIsTrueFromAfar(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		asker, owner := f.replicas[0], f.replicas[1]
		for i, limits := range []string{"7/second", "1/second; 100/hour", "1 per 2 seconds", "1000/second leaky burst 1000; 50/minute"} {
			rule := bucket.MustRule(fmt.Sprint("rule ", i), limits)
			key := owner.keyOf(rule, 0)
			d := asker.ask(rule, key, 1)
			for d.Allowed {
				d = asker.ask(rule, key, 1)
			}
			for range 3 {
				// d was decided half a round trip ago; this would arrive a
				// nanosecond too early, and is refused before it leaves.
				time.Sleep(d.RetryAfter - roundTrip - time.Nanosecond)
				if d = asker.ask(rule, key, 1); d.Allowed || d.RetryAfter > roundTrip+time.Nanosecond {
					t.Fatalf("%s: too early, and yet %+v", limits, d)
				}
				// And at the owner itself there is no way.
				time.Sleep(d.RetryAfter)
				if d = owner.ask(rule, key, 1); !d.Allowed || d.Degraded {
					t.Fatalf("%s: after RetryAfter %+v", limits, d)
				}
				if d = asker.ask(rule, key, 1); d.Allowed {
					t.Fatalf("%s: one too many: %+v", limits, d)
				}
			}
			time.Sleep(d.RetryAfter)
			if d = asker.ask(rule, key, 1); !d.Allowed || d.Degraded {
				t.Fatalf("%s: after RetryAfter from afar %+v", limits, d)
			}
		}
	})
}

// One replica is the oracle of five: the same calls get the same answers. The
// network takes no time here, so even the times in them are the same, but of refusals from
// afar: these may repeat what the holder said.
func TestFiveDecideAsOne(t *testing.T) {
	story(t, func(f *fleet) {
		f.net.SetLatency(0)
		f.start(5)
		f.ready(formTime, f.replicas...)
		oracle := f.startOn(f.net.Host("10.0.0.9"), func(c *cluster.Config) { *c = cluster.Config{} })
		random := rand.New(rand.NewPCG(2, 3))
		var rules []*bucket.Rule
		for _, limits := range []string{
			"5/second", "60/minute", "3/second; 100/minute", "1/hour", "999999937/minute", "0/second; 5/second",
			"4/second leaky burst 9", "8/second fixed", "50/minute fixed aligned; 4/second", "7/second sliding",
		} {
			rules = append(rules, bucket.MustRule(fmt.Sprint("rule ", len(rules)), limits))
		}
		rules = append(rules, bucket.MustRule("rule 0", "7/second"), bucket.MustRule("rule 7", "5/second fixed")) // a deploy is under way
		refused, remote := 0, 0
		for i := range 2500 {
			r, rule := f.replicas[random.IntN(5)], rules[random.IntN(len(rules))]
			key, cost := fmt.Sprint("key ", random.IntN(8)), random.Int64N(4)
			if random.IntN(20) == 0 {
				cost = random.Int64N(200)
			}
			began := time.Now()
			want := oracle.ask(rule, key, cost)
			got := r.ask(rule, key, cost)
			want.Receipt, got.Receipt = bucket.Receipt{}, bucket.Receipt{} // of different stores
			if r.Owner(rule, key) != r.Name() && !got.Allowed && !want.Allowed && 0 < got.RetryAfter && got.RetryAfter <= want.RetryAfter+1 {
				got = want // it may be refused by what was said before, and then others may have taken more
			}
			if got != want || time.Since(began) != 0 {
				t.Fatalf("call %d, %d tokens for %q by %v, after %v:\ngot  %+v\nwant %+v", i, cost, key, rule, time.Since(began), got, want)
			}
			if !got.Allowed {
				refused++
			}
			if r.Owner(rule, key) != r.Name() {
				remote++
			}
			time.Sleep(time.Duration(random.ExpFloat64() * float64(20*time.Millisecond)))
		}
		if refused < 300 || refused > 2200 || remote < 1500 {
			t.Errorf("a poor sample: %d of 2500 refused, %d decided by another replica", refused, remote)
		}
	})
}
