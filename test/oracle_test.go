package test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// One replica is the oracle of many, also while these come and go: the same calls in
// the same order are admitted and refused alike. Their limits are such that it doesn't
// matter that a hit may wait for a token that is under way: nothing comes back within
// the test, or all is back before the key's next turn.
func TestOneIsTheOracleOfManyThatComeAndGo(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed+1), func(t *testing.T) {
			story(t, func(f *fleet) {
				c := newChurn(f, seed+1, 5)
				c.net.SetLatency(0)
				done := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					defer close(done)
					for range 10 {
						c.wait(0, 400*time.Millisecond)
						switch n := len(c.replicas); {
						case c.random.IntN(2) == 0:
							c.restart(c.any())
						case n < 4 || n < mostReplicas && c.random.IntN(2) == 0:
							c.join()
						default:
							c.leave(c.any())
						}
					}
				})
				o := oracle{churn: c, one: f.startOn(f.net.Host("10.0.1.1"), func(c *cluster.Config) { *c = cluster.Config{} }),
					random: rand.New(rand.NewPCG(seed, 7)), admitted: map[string][2]int64{}, turns: map[string]time.Time{}}
				o.askUntil(done)
				wg.Wait()
				o.compare()
			})
		})
	}
}

// oracle asks one replica and many the same.
type oracle struct {
	*churn
	one      *replica
	random   *rand.Rand
	admitted map[string][2]int64 // by key, at the one and by the many
	turns    map[string]time.Time
	calls    int
	refused  int
}

func (o *oracle) askUntil(done <-chan struct{}) {
	lasting := []*bucket.Rule{bucket.MustRule("a", "70/day"), bucket.MustRule("b", "150/day; 100/year"), bucket.MustRule("c", "30/day fixed"), bucket.MustRule("d", "90/day leaky"), bucket.MustRule("e", "40/day sliding")}
	quick := bucket.MustRule("quick", "2/second burst 6")
	for {
		select {
		case <-done:
			return
		default:
		}
		for range 3 {
			o.ask(lasting[o.random.IntN(len(lasting))], fmt.Sprint("user ", o.random.IntN(5)), 1+o.random.Int64N(3))
		}
		if key := fmt.Sprint("user ", o.random.IntN(5)); time.Since(o.turns[key]) > 4*time.Second {
			o.turns[key] = time.Now()
			for range 8 {
				o.ask(quick, key, 1)
			}
		}
		time.Sleep(time.Duration(o.random.IntN(60)) * time.Millisecond)
	}
}

func (o *oracle) ask(rule *bucket.Rule, key string, cost int64) {
	live := o.live()
	r := live[o.random.IntN(len(live))]
	want, got := o.one.ask(rule, key, cost), r.ask(rule, key, cost)
	o.calls++
	if want.Allowed != got.Allowed || got.Degraded {
		o.Errorf("call %d, %d of %q by %v at %s: %+v\nwant %+v", o.calls, cost, key, rule, r.Name(), got, want)
	}
	sum := o.admitted[rule.Name()+" "+key]
	if want.Allowed {
		sum[0] += cost
	} else {
		o.refused++
	}
	if got.Allowed {
		sum[1] += cost
	}
	o.admitted[rule.Name()+" "+key] = sum
}

func (o *oracle) compare() {
	for key, sum := range o.admitted {
		if sum[0] != sum[1] {
			o.Errorf("%s: %d tokens by many, %d by one", key, sum[1], sum[0])
		}
	}
	if o.calls < 800 || o.refused < 100 || o.refused > o.calls-300 {
		o.Errorf("a poor sample: %d of %d refused", o.refused, o.calls)
	}
}
