package test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// hammer has each of the replicas ask for a key so many times a second, at random
// moments, whatever becomes of the earlier ones. Shares are those of the replicas,
// of all that is asked.
func (f *fleet) hammer(rule *bucket.Rule, key string, d time.Duration, rates ...float64) answers {
	l := f.load(time.Hour, nil)
	q := question{rule: rule, key: key}
	until := time.Now().Add(d)
	for i, r := range f.replicas {
		random := rand.New(rand.NewPCG(uint64(i), uint64(len(key))))
		l.wg.Go(func() {
			for at := time.Now(); ; {
				at = at.Add(time.Duration(random.ExpFloat64() / rates[i] * float64(time.Second)))
				if !at.Before(until) || l.ctx.Err() != nil {
					return
				}
				time.Sleep(time.Until(at))
				l.wg.Go(func() { l.ask(r, q) })
			}
		})
	}
	time.Sleep(d)
	return l.stop()
}

// messages is how many messages a replica has sent to others about keys.
func (r *replica) messages() int64 {
	m := r.Metrics()
	return m.Decided(cluster.PathForwarded) + m.Leases.Statements
}

func even(n int, rate float64) (rates []float64) {
	for range n {
		rates = append(rates, rate/float64(n))
	}
	return rates
}

func TestLeaseSmoke(t *testing.T) {
	for _, load := range []float64{0.5, 0.95, 1.05, 2, 10} {
		t.Run(fmt.Sprint(load), func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3)
				f.ready(formTime, f.replicas...)
				rule := bucket.MustRule("api", "1000/second")
				key := f.replicas[0].keyOf(rule, 0)
				const d = 5 * time.Second
				before := make([]int64, 3)
				for i, r := range f.replicas {
					before[i] = r.messages()
				}
				began := time.Now()
				as := f.hammer(rule, key, d, even(3, 1000*load)...)
				as.answered(f, 100)
				as.checkOver(f, []question{{rule: rule, key: key}}, 0)
				admitted := as.of(key, rule.Limits()[0]).admitted()
				ideal := min(int64(len(as)), 1000+1000*int64(time.Since(began))/int64(time.Second))
				f.Logf("asked %d admitted %d of %d", len(as), admitted, ideal)
				for i, r := range f.replicas {
					mine := as.where(from(r))
					m := r.Metrics()
					f.Logf("%s: messages %d/s, share %.2f, %+v %+v", r.Name(), (r.messages()-before[i])*int64(time.Second)/int64(d), float64(mine.of(key, rule.Limits()[0]).admitted())*3/float64(admitted), m.Decisions, m.Leases)
				}
			})
		})
	}
}
