package test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Whatever becomes of the replicas while a key of theirs is lent to all of them, and
// of what they tell each other: not a token passes that shouldn't. They ask for ten
// times as much as there is, so that every token that is too many is spent.
func TestLeasesLetNothingTooMuchPass(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trouble func(c *churn)
	}{
		{"late messages", func(c *churn) {
			for range 20 {
				c.net.SetLatency(time.Duration(c.random.IntN(15_000)) * time.Microsecond)
				c.wait(0, 300*time.Millisecond)
			}
		}},
		{"streams that break", func(c *churn) {
			for range 20 {
				a, b := c.pair()
				c.net.Reset(a.host, b.host)
				c.wait(0, 300*time.Millisecond)
			}
		}},
		{"joins and leaves", func(c *churn) {
			for range 3 {
				c.join()
				c.wait(0, 300*time.Millisecond)
				c.leave(c.any())
				c.wait(0, 300*time.Millisecond)
			}
		}},
		{"a rolling restart", func(c *churn) {
			for _, r := range append([]*replica{}, c.replicas...) {
				c.wait(0, 200*time.Millisecond)
				c.restart(r)
			}
		}},
		{"packets that are lost", func(c *churn) {
			for range 5 {
				c.net.SetLoss(0.05)
				c.wait(0, 300*time.Millisecond)
				c.net.SetLoss(0)
				c.wait(0, 300*time.Millisecond)
			}
		}},
		{"slow machines", func(c *churn) {
			for range 5 {
				c.any().host.SetDelay(time.Duration(c.random.IntN(60)) * time.Millisecond)
				c.wait(100*time.Millisecond, 300*time.Millisecond)
				c.calm()
			}
		}},
		{"links that are cut for a moment", func(c *churn) {
			for range 5 {
				a, b := c.pair()
				c.net.Hush(a.host, b.host)
				c.wait(0, 300*time.Millisecond)
				c.net.HealAll()
				c.wait(0, 300*time.Millisecond)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				c := newChurn(f, 1, 4)
				var qs []question
				for i, limit := range []string{"400/second", "100/second burst 200", "500/second burst 160"} {
					rule := bucket.MustRule(fmt.Sprint("rule ", i), limit, bucket.WithFailurePolicy(bucket.Deny))
					qs = append(qs, question{rule: rule, key: fmt.Sprint("key ", i)})
				}
				load := c.load(time.Millisecond, qs...)
				c.wait(500*time.Millisecond, time.Second)
				tt.trouble(c)
				c.wait(500*time.Millisecond, time.Second)
				as := load.stop()
				c.end()
				for _, q := range qs {
					mine := as.where(about(q.key))
					// What a standby has admitted comes on top, where the holder was silent.
					aside := mine.where(degraded).of(q.key, q.rule.Limits()[0]).admitted()
					mine.checkOver(f, []question{q}, aside)
					if n := mine.of(q.key, q.rule.Limits()[0]).admitted(); n < q.rule.Limits()[0].Capacity() {
						f.Errorf("only %d of %q passed", n, q.key)
					}
				}
				leased := int64(0)
				for _, r := range c.replicas {
					leased += r.decided(cluster.PathLeased)
				}
				if leased < 200 {
					f.Errorf("only %d were decided by leases", leased)
				}
			})
		})
	}
}

// The holder of a lent key dies: what comes too many is what it had lent or admitted
// since it last told its standby.
func TestTheHolderOfALentKeyDies(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(4)
		f.ready(formTime, f.replicas...)
		victim := f.replicas[3]
		rule := bucket.MustRule("api", "500/second", bucket.WithFailurePolicy(bucket.Deny))
		key := victim.keyOf(rule, 0)
		q := question{rule: rule, key: key}
		load := f.load(time.Millisecond, f.but(victim), q)
		time.Sleep(2050 * time.Millisecond)
		died := time.Now()
		victim.kill()
		time.Sleep(3 * time.Second)
		as := load.stop()
		l := rule.Limits()[0]
		lost := as.where(endedSince(died.Add(-replicateTime)), before(died)).of(key, l).admitted() + l.Capacity()/4
		as.checkOver(f, []question{q}, lost)
		after := as.where(since(died.Add(2 * time.Second)))
		if n := after.of(key, l).admitted(); n < 300 {
			f.Errorf("only %d passed in the third second", n)
		}
	})
}

// No more passes in a window than its count, whoever holds what of it when it ends.
func TestLeasesOfWindows(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "500/second fixed aligned")
		key := f.replicas[0].keyOf(rule, 0)
		load := f.load(time.Millisecond, f.replicas, question{rule: rule, key: key})
		time.Sleep(5 * time.Second)
		as := load.stop()
		as.answered(f, 10_000)
		windows, sum := map[int64]int64{}, int64(0)
		for _, a := range as.where(func(a answer) bool { return a.Allowed }) {
			began, ended := a.sent.Unix(), a.sent.Add(a.took).Unix()
			if began == ended { // else nobody knows in which it was
				windows[began]++
			}
			sum++
		}
		for w, n := range windows {
			if n > 500 {
				f.Errorf("%d passed in the window %d", n, w)
			}
		}
		if sum < 5*500-5*reserve(rule.Limits()[0]) {
			f.Errorf("%d passed in five windows", sum)
		}
		if n := f.replicas[1].decided(cluster.PathLeased); n < 500 {
			f.Errorf("only %d by lease", n)
		}
	})
}

// A reset makes a key whole, but for what is lent of it.
func TestAResetOfALentKey(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		rule := bucket.MustRule("api", "1000/second")
		key := f.replicas[0].keyOf(rule, 0)
		load := f.hammer(rule, key, 4*time.Second, 2000, 2000, 2000)
		for range 10 {
			time.Sleep(300 * time.Millisecond)
			if err := f.replicas[1].Reset(f.Context(), rule, key); err != nil {
				f.Error(err)
			}
		}
		time.Sleep(time.Second)
		as := load.stop()
		// Each reset gives the whole at most.
		if n := as.of(key, rule.Limits()[0]).admitted(); n > 11*1000+4*1000 || n < 6000 {
			f.Errorf("%d passed", n)
		}
		as.checkOver(f, []question{{rule: rule, key: key}}, 10*1000)
	})
}

// A hit that was decided by a lease is refunded while the holder doesn't know of it;
// and as hits of the rule are refunded, it is leased no more.
func TestRefundsOfLeasedHits(t *testing.T) {
	story(t, func(f *fleet) {
		asker, holder := f.pairOf()
		rule := bucket.MustRule("api", "100000/year")
		key := holder.keyOf(rule, 0)
		load := f.hammer(rule, key, 300*time.Millisecond, 1000, 0.1)
		time.Sleep(300 * time.Millisecond)
		load.stop()
		before := asker.decided(cluster.PathLeased)
		d := asker.ask(rule, key, 1)
		if asker.decided(cluster.PathLeased) == before {
			f.Fatalf("not leased: %+v", d)
		}
		if d.Receipt.Tokens() != 1 {
			f.Errorf("the receipt: %+v", d.Receipt)
		}
		if err := asker.Refund(f.Context(), rule, key, d.Receipt); err != nil {
			f.Error(err)
		}
		time.Sleep(2 * lentTime)
		used := int64(0)
		for _, a := range load.answers {
			used += a.Receipt.Tokens()
		}
		if d := holder.ask(rule, key, 0); d.Remaining != 100_000-used {
			f.Errorf("%d remain after %d", d.Remaining, used)
		}
		load = f.hammer(rule, key, 300*time.Millisecond, 1000, 0.1)
		time.Sleep(300 * time.Millisecond)
		load.stop()
		if m := holder.Metrics().Leases; m.Lent+int64(m.Keys) != 0 {
			f.Errorf("it is leased again: %+v", m)
		}
	})
}

// One replica is the oracle of five that lease: it refuses what they refuse, but for
// what they hold back near exhaustion, and never admits less in the long run.
func TestLeasesAdmitWhatOneDoes(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(5)
		f.ready(formTime, f.replicas...)
		oracle := f.startOn(f.net.Host("10.0.0.9"), func(c *cluster.Config) { *c = cluster.Config{} })
		random := rand.New(rand.NewPCG(5, 5))
		for i, limit := range []string{"300/second", "5000/minute burst 400", "200/second; 10000/minute"} {
			rule := bucket.MustRule(fmt.Sprint("rule ", i), limit)
			key := f.replicas[i].keyOf(rule, 0)
			var many, one int64
			for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
				cost := 1 + random.Int64N(3)
				if oracle.ask(rule, key, cost).Allowed {
					one += cost
				}
				if f.replicas[random.IntN(5)].ask(rule, key, cost).Allowed {
					many += cost
				}
				time.Sleep(time.Duration(random.ExpFloat64() * float64(time.Millisecond)))
			}
			least := rule.Limits()[0]
			if many > one+least.Count/100+5 || many < one-reserve(least) {
				f.Errorf("%v: %d by many, %d by one", rule, many, one)
			}
		}
	})
}
