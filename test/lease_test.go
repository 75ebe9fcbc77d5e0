package test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// hammer has each of the replicas ask for a key so many times a second, at random
// moments, whatever becomes of the earlier ones.
func (f *fleet) hammer(rule *bucket.Rule, key string, d time.Duration, rates ...float64) *traffic {
	l := f.load(time.Hour, nil)
	q, until := question{rule: rule, key: key}, time.Now().Add(d)
	for i, r := range f.replicas {
		random := rand.New(rand.NewPCG(uint64(i), uint64(len(key))))
		l.wg.Go(func() {
			for at := time.Now(); ; {
				at = at.Add(time.Duration(random.ExpFloat64() / rates[i] * float64(time.Second)))
				if !at.Before(until) {
					return
				}
				time.Sleep(time.Until(at))
				l.wg.Go(func() { l.ask(r, q) })
			}
		})
	}
	return l
}

// evenly is a rate divided among so many.
func evenly(n int, rate float64) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = rate / float64(n)
	}
	return rates
}

// messages is how many messages a replica has sent to others about keys.
func (r *replica) messages() int64 {
	return r.forwarded() + r.Metrics().Leases.Statements
}

// heat hammers a key of the first replica for a second, and then for as long as d, in
// which nobody may send more than 50 messages a second about it, and its holder none.
func (f *fleet) heat(rule *bucket.Rule, key string, d time.Duration, rates []float64) answers {
	const warm = time.Second
	load := f.hammer(rule, key, warm+d, rates...)
	time.Sleep(warm)
	before := make([]int64, len(f.replicas))
	for i, r := range f.replicas {
		before[i] = r.messages()
	}
	time.Sleep(d)
	for i, r := range f.replicas {
		if n := float64(r.messages()-before[i]) / d.Seconds(); n > 50 || i == 0 && n > 0 {
			f.Errorf("%s sends %.0f messages a second: %+v, %+v", r.Name(), n, r.Metrics().Decisions, r.Metrics().Leases)
		}
	}
	as := load.stop()
	as.answered(f, 100)
	return as
}

// checkShares fails the test where a replica had less or more of what passed, times its
// part of what came.
func (as answers) checkShares(f *fleet, key string, limit bucket.Limit, rates []float64, least, most float64) {
	f.Helper()
	all := float64(as.of(key, limit).admitted())
	for i, r := range f.replicas {
		mine := float64(as.where(from(r)).of(key, limit).admitted())
		if share := mine / all * sum(rates) / rates[i]; share < least || share > most {
			f.Errorf("%s had %.2f times its share", r.Name(), share)
		}
	}
}

// A hot key costs no more than 50 messages a second and replica once it is leased,
// whether what is asked for is there or not; not a token passes that shouldn't; nobody
// is refused while there is enough; and nobody has more of it than the others, nor the
// one who holds it.
func TestAHotKeyIsLeased(t *testing.T) {
	for _, tt := range []struct {
		limit string
		load  float64 // of the limit
	}{
		{"100/second", 2}, {"100/second", 10},
		{"1000/second", 0.5}, {"1000/second", 0.95}, {"1000/second", 1.05}, {"1000/second", 2}, {"1000/second", 10},
		{"10000/second", 0.95}, {"10000/second", 2},
		{"1000/second burst 320; 60000/minute", 2}, {"1000/second burst 320", 0.9},
		{"600/second fixed; 1000/second", 3},
	} {
		t.Run(fmt.Sprint(tt.limit, " times ", tt.load), func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3)
				f.ready(formTime, f.replicas...)
				rule := bucket.MustRule("api", tt.limit)
				limit, key := rule.Limits()[0], f.replicas[0].keyOf(rule, 0)
				rate := float64(limit.Count) / limit.Per.Seconds()
				rates, began := evenly(3, rate*tt.load), time.Now()
				as := f.heat(rule, key, 4*time.Second, rates)
				if limit.Algorithm == bucket.TokenBucket {
					as.checkOver(f, []question{{rule: rule, key: key}}, 0)
				}
				h := as.of(key, limit)
				ideal := min(int64(len(as)), limit.Capacity()+limit.Count*int64(time.Since(began))/int64(limit.Per))
				if limit.Algorithm == bucket.FixedWindow { // which begin with the first hit
					ideal -= limit.Count
				}
				lack := reserve(limit)
				if tt.load < 1 {
					lack = 0
				}
				if n := h.admitted(); n < ideal-lack || limit.Algorithm == bucket.TokenBucket && n > ideal {
					f.Errorf("%d passed of %d, where %d may be missing", n, ideal, lack)
				}
				as.checkShares(f, key, limit, rates, 0.8, 1.2)
			})
		})
	}
}

var lessees = flag.Int("lessees", 10, "how many replicas share a hot key; fifty take half a minute")

// That goes for ten replicas and for fifty: each has its part of what passes, by what
// comes to it. Where nearly all comes to one, the others may have more: what they ask for
// is too little to be leased, and is there now and then.
func TestAHotKeyOfManyReplicas(t *testing.T) {
	skewed := evenly(10, 2000)
	skewed[3] += 18_000
	for _, tt := range []struct {
		name  string
		rates []float64
		most  float64 // times its share that a replica may have
	}{
		{"all alike", evenly(*lessees, 20_000), 1.3}, {"one has nearly all", skewed, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(len(tt.rates))
				f.ready(formTime, f.replicas...)
				rule := bucket.MustRule("api", "2000/second")
				limit, key := rule.Limits()[0], f.replicas[0].keyOf(rule, 0)
				began := time.Now()
				as := f.heat(rule, key, 2*time.Second, tt.rates)
				as.checkOver(f, []question{{rule: rule, key: key}}, 0)
				ideal := limit.Capacity() + limit.Count*int64(time.Since(began))/int64(limit.Per)
				if passed := as.of(key, limit).admitted(); passed < ideal-reserve(limit) {
					f.Errorf("%d passed of %d", passed, ideal)
				}
				as.checkShares(f, key, limit, tt.rates, 0.75, tt.most)
			})
		})
	}
}

func sum(rates []float64) (all float64) {
	for _, r := range rates {
		all += r
	}
	return all
}

// What is held back doesn't become more with time.
func TestTheReserveIsConstant(t *testing.T) {
	for _, d := range []time.Duration{5 * time.Second, 50 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3)
				f.ready(formTime, f.replicas...)
				rule := bucket.MustRule("api", "200/second")
				key := f.replicas[0].keyOf(rule, 0)
				as := f.hammer(rule, key, d, 300, 50, 20)
				time.Sleep(d)
				all := as.stop()
				missing := 200 + 200*int64(d/time.Second) - all.of(key, rule.Limits()[0]).admitted()
				if f.Logf("%d missing after %v", missing, d); missing > reserve(rule.Limits()[0]) {
					f.Errorf("%d are missing after %v", missing, d)
				}
				all.checkOver(f, []question{{rule: rule, key: key}}, 0)
			})
		})
	}
}

// A limit with a small burst, an algorithm that can't be lent of, and a rule with a
// penalty are decided where their state is, to the last token.
func TestWhatIsNotLeased(t *testing.T) {
	for _, limit := range []string{"1000/second burst 310", "1000/second leaky", "1000/second sliding", "100/second; penalty 100000/second"} {
		t.Run(limit, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(2)
				f.ready(formTime, f.replicas...)
				rule := bucket.MustRule("api", limit)
				key := f.replicas[0].keyOf(rule, 0)
				as := f.hammer(rule, key, time.Second, 800, 800)
				time.Sleep(time.Second)
				all := as.stop()
				all.answered(f, 1000)
				for _, r := range f.replicas {
					if n, m := r.decided(cluster.PathLeased), r.Metrics().Leases; n+m.Lent > 0 {
						f.Errorf("%s: %d by lease, %+v", r.Name(), n, m)
					}
				}
				if l := rule.Limits()[0]; l.Algorithm == bucket.TokenBucket {
					all.check(f, []question{{rule: rule, key: key}}, 0, 1)
				}
			})
		})
	}
}

// What a replica doesn't spend is back when its lease is over, to the last token; what
// it has spent stays spent.
func TestIdleLeasesAreGivenBack(t *testing.T) {
	for _, end := range []string{"nobody asks", "the limit changes", "the replica leaves"} {
		t.Run(end, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3)
				f.ready(formTime, f.replicas...)
				holder, asker := f.replicas[0], f.replicas[1]
				rule := bucket.MustRule("api", "100000/year")
				key := holder.keyOf(rule, 0)
				as := f.hammer(rule, key, 1500*time.Millisecond, 1, 2000, 0.1)
				time.Sleep(500 * time.Millisecond)
				if m := holder.Metrics().Leases; m.Keys != 1 || m.Lent < 20 {
					f.Errorf("while it is hot: %+v", m)
				}
				if end == "the replica leaves" {
					f.close(asker) // while it is asked
				}
				used := as.stop().of(key, rule.Limits()[0]).admitted()
				if end == "the limit changes" {
					rule = bucket.MustRule("api", "100001/year")
					asker.ask(rule, key, 1)
				}
				time.Sleep(lentTime)
				if m := holder.Metrics().Leases; m.Lent != 0 {
					f.Errorf("later: %+v", m)
				}
				if d := holder.ask(rule, key, 0); d.Remaining != 100_000-used {
					f.Errorf("%d remain after %d of 100000", d.Remaining, used)
				}
			})
		})
	}
}

// What is taken together with other keys is decided where the buckets are, also of a key
// that is leased, and given back to the last token, however late.
func TestKeysThatAreTakenTogetherAreNotLeased(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		holder, asker := f.replicas[0], f.replicas[1]
		rule, other := bucket.MustRule("api", "100000/year"), bucket.MustRule("other", "10/year")
		key := holder.keyOf(rule, 0)
		load := f.hammer(rule, key, 2*time.Second, 1, 2000, 0.1)
		time.Sleep(500 * time.Millisecond)
		charges := []bucket.Charge{{Rule: rule, Key: key, Tokens: 10}, {Rule: other, Key: "alice", Tokens: 1}}
		var taken []bucket.Decision
		var leased int64
		for i := range 20 {
			ds, err := asker.TakeAll(f.Context(), charges)
			if err != nil || !ds[0].Allowed || ds[1].Allowed != (i < 10) {
				f.Fatalf("%d: %+v, %v", i, ds, err)
			}
			if i < 10 {
				taken = append(taken, ds[0])
			}
			if i == 9 && (asker.decided(cluster.PathLeased) == 0 || holder.Metrics().Leases.Lent == 0) {
				f.Fatal("nothing is leased")
			}
			if i == 15 { // what was refused five times has had the time to end leases
				leased = asker.decided(cluster.PathLeased)
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		if n := asker.decided(cluster.PathLeased) - leased; n < 200 { // of some 560 hits
			f.Errorf("%d hits were decided by a lease after TakeAll had been refused", n)
		}
		for _, d := range taken {
			if err := asker.Refund(f.Context(), rule, key, d.Receipt); err != nil {
				f.Error(err)
			}
		}
		used := load.stop().of(key, rule.Limits()[0]).admitted()
		time.Sleep(lentTime)
		// A refund leaves out what came back by itself meanwhile: less than a token.
		if d := holder.ask(rule, key, 0); d.Remaining != 100_000-used && d.Remaining != 100_000-used-1 {
			f.Errorf("%d remain after %d of 100000", d.Remaining, used)
		}
	})
}

// From cold, ten million hits a second are asked, ten times as many as may pass. No
// queue is full and nothing is decided without the holder.
func TestAColdStart(t *testing.T) {
	const replicas, milliseconds, each = 3, 5, 3333
	story(t, func(f *fleet) {
		f.start(replicas)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "1000000/second burst 2000")
		f.ready(formTime, f.replicas...)
		wide := bucket.MustRule("wide", "1000000/second")
		for _, rule := range []*bucket.Rule{rule, wide} {
			key := f.replicas[0].keyOf(rule, 0)
			var wg sync.WaitGroup
			var mu sync.Mutex
			allowed, began := int64(0), time.Now()
			for range milliseconds {
				for _, r := range f.replicas {
					for range each {
						wg.Go(func() {
							d := r.ask(rule, key, 1)
							mu.Lock()
							defer mu.Unlock()
							if d.Allowed {
								allowed++
							}
							if d.Degraded {
								t.Errorf("%s: %+v", r.Name(), d)
							}
						})
					}
				}
				time.Sleep(time.Millisecond)
			}
			wg.Wait()
			l := rule.Limits()[0]
			most := l.Capacity() + int64(time.Since(began)/time.Microsecond)
			least := min(most-1000, replicas*milliseconds*each) // the last came a millisecond ago
			if allowed > most || allowed < least {
				t.Errorf("%d passed, of %d to %d", allowed, least, most)
			}
		}
	})
}
