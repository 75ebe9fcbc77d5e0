package test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

var seeds = flag.Int("seeds", 2, "how many random schedules of each kind to run; one takes about a second")

// TestRandomSchedules runs random histories under load. Whatever happens, every call
// has an answer in time, no more passes than the worst row that applies allows, and
// in the end everybody agrees. "go test ./test -run Random -seeds 200" looks longer,
// "-run Random/crashes/seed_17" at one again.
func TestRandomSchedules(t *testing.T) {
	for _, kind := range []struct {
		name string
		run  func(c *churn)
	}{
		{"graceful", (*churn).graceful},
		{"crashes", (*churn).crashes},
		{"anything", (*churn).anything},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for seed := range *seeds {
				t.Run(fmt.Sprint("seed ", seed+1), func(t *testing.T) {
					story(t, func(f *fleet) { kind.run(newChurn(f, uint64(seed+1), 4)) })
				})
			}
		})
	}
}

const mostReplicas = 6

// questions are about keys of all owners, under a rule whose policy admits nothing.
func (c *churn) questions(limit string) (qs []question) {
	rule := bucket.MustRule("api", limit, bucket.WithFailurePolicy(bucket.Deny))
	for i := range 8 {
		qs = append(qs, question{rule, fmt.Sprint("user ", i), 0})
	}
	return qs
}

// graceful: replicas join, leave and are restarted. Nothing is over, nothing refused.
func (c *churn) graceful() {
	idle := c.exhaust(40)
	qs := c.questions("60/second burst 15")
	load := c.load(25*time.Millisecond, qs...)
	for range 6 {
		c.wait(0, 700*time.Millisecond)
		switch n := len(c.replicas); {
		case c.random.IntN(3) == 0:
			c.restart(c.any())
		case n < 3 || n < mostReplicas && c.random.IntN(2) == 0:
			c.join()
		default:
			c.leave(c.any())
		}
	}
	c.wait(0, 300*time.Millisecond)
	answers := load.stop()
	c.end()
	idle.none(c.fleet, "all that")
	answers.where(func(a answer) bool { return a.err == nil }).answered(c.fleet, 8*100)
	answers.check(c.fleet, qs, 0, 1)
}

// crashes: one replica at a time crashes, among joins and leaves. Each loses at most
// what was admitted since the last copy, or the whole where the copy was on its way to
// another standby.
func (c *churn) crashes() {
	qs := c.questions("60/second burst 15")
	load := c.load(25*time.Millisecond, qs...)
	for range 5 {
		c.wait(300*time.Millisecond, 1500*time.Millisecond)
		switch n := len(c.replicas); {
		case n > 2 && c.random.IntN(2) == 0:
			c.crash(c.any())
		case n < mostReplicas:
			c.join()
		default:
			c.leave(c.any())
		}
	}
	c.wait(0, 300*time.Millisecond)
	answers := c.survived(load.stop())
	c.end()
	for _, q := range qs {
		l, lost := q.rule.Limits()[0], int64(0)
		for _, d := range c.died {
			lost += answers.where(about(q.key), endedSince(d.at.Add(-replicateTime)), before(d.at)).of(q.key, l).admitted()
			for _, m := range c.moved {
				if age := d.at.Sub(m); age > -d.known.Sub(d.at) && age < 2*time.Second {
					lost += l.Capacity() // the standby was about to change
					break
				}
			}
		}
		answers.check(c.fleet, []question{q}, lost, 1)
	}
}

// anything: links are cut, streams break, packets are lost, machines are slow and
// crash. Each replica may have been on a side of its own.
func (c *churn) anything() {
	qs := c.questions("10/second burst 20") // what is asked is twenty times as much
	load := c.load(25*time.Millisecond, qs...)
	began := time.Now()
	for range 8 {
		c.wait(100*time.Millisecond, 1200*time.Millisecond)
		switch n := c.random.IntN(8); {
		case n < 3:
			c.cut()
		case n < 5:
			c.trouble()
		case n < 6:
			c.calm()
		case len(c.replicas) > 3:
			c.calm()
			c.crash(c.any())
		default:
			c.calm()
			c.join()
		}
	}
	c.wait(0, 300*time.Millisecond)
	c.end()
	c.wait(time.Second, 2*time.Second)
	settled := time.Now()
	time.Sleep(500 * time.Millisecond)
	answers := c.survived(load.stop())
	l := qs[0].rule.Limits()[0]
	sides := int64(c.hosts - 1)
	answers.checkOver(c.fleet, qs, sides*(l.Capacity()+l.Count*int64(time.Since(began))/int64(l.Per)))
	after := answers.where(since(settled))
	after.answered(c.fleet, 8*10)
	after.checkOver(c.fleet, qs, 0)
}
