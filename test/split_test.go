package test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/test/simnet"
)

// A split into sides, each of which sees the others as gone: each gives the limit
// once more, and afterwards all that was counted anywhere counts.
func TestASplitHeals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sides  []int // sizes
		scaled bool
	}{
		{"in two", []int{2, 3}, false},
		{"in three", []int{2, 2, 1}, false},
		{"in two, scaled", []int{2, 3}, true},
		{"in three, scaled", []int{2, 2, 1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(5, func(c *cluster.Config) { c.ScaleMinority = tt.scaled })
				f.ready(formTime, f.replicas...)
				s := split{fleet: f, scaled: tt.scaled}
				for left := f.replicas; len(tt.sides) > len(s.sides); {
					size := tt.sides[len(s.sides)]
					s.sides, left = append(s.sides, left[:size]), left[size:]
				}
				s.happen()
			})
		})
	}
}

// mergeTime is how long it takes after a split until whoever holds what another should
// has reached that one: streams are dialled anew every second, give or take a half.
const mergeTime = 2 * time.Second

type split struct {
	*fleet
	sides  [][]*replica
	scaled bool
}

// scarce is a rule of which nothing comes back meanwhile. Divided by five, as where one
// of five is seen, it still is 60.
func (s *split) scarce() *bucket.Rule { return bucket.MustRule("scarce", "300/day") }

// scale is by how much a side divides the limits.
func (s *split) scale(side []*replica) int64 {
	if n := len(side); s.scaled && 2*n < 5 {
		return int64((5 + n - 1) / n)
	}
	return 1
}

// spend takes n tokens of it by way of a replica.
func (s *split) spend(r *replica, key string, n int64) {
	s.Helper()
	if d := r.ask(s.scarce(), key, n); !d.Allowed || d.Degraded {
		s.Errorf("%d at %s: %+v", n, r.Name(), d)
	}
}

func (s *split) happen() {
	rule := bucket.MustRule("api", "20/second", bucket.WithFailurePolicy(bucket.Deny))
	questions := s.oneEach(rule)
	people := []string{"alice", "bob", "carol", "dave", "erin", "frank"}
	for _, key := range people {
		s.spend(s.replicas[0], key, 20)
	}
	load := s.load(100*time.Millisecond, s.replicas, questions...)
	time.Sleep(time.Second)
	cut := time.Now()
	var apart [][]*simnet.Host
	for _, side := range s.sides {
		apart = append(apart, hosts(side))
	}
	s.net.Partition(apart...)
	for _, side := range s.sides {
		s.agree(10*time.Second, side...)
	}
	s.Logf("all sides agree after %v", time.Since(cut))
	time.Sleep(claimTime)
	settled := time.Now()
	for i, side := range s.sides {
		for j, key := range people { // each side is the one that spends most of some key
			s.spend(side[0], key, int64(10*((i+j)%len(s.sides))+3))
		}
	}
	time.Sleep(6*time.Second - time.Since(settled))
	left := map[string]int64{} // on the side that has counted most
	for _, key := range people {
		left[key] = 300
		for _, side := range s.sides {
			here := 300 / s.scale(side)
			left[key] = min(left[key], 300-here+side[0].ask(s.scarce(), key, 0).Remaining)
		}
	}
	healed := time.Now()
	s.net.HealAll()
	s.Logf("all agree %v after the split has healed", s.agree(10*time.Second, s.replicas...))
	time.Sleep(mergeTime)
	whole := time.Now()
	s.ready(time.Millisecond, s.replicas...)
	for i, key := range people {
		if d := s.replicas[i%5].ask(s.scarce(), key, 0); d.Remaining != left[key] || d.Degraded {
			s.Errorf("%s: %+v; %d were left on the side that had counted most", key, d, left[key])
		}
	}
	time.Sleep(time.Second)
	answers := load.stop()

	inSides := between(settled, healed)
	answers.where(func(a answer) bool { return a.sent.Add(a.took).Before(cut) || inSides(a) || a.sent.After(whole) }).answered(s.fleet, 5*5*60)
	for _, q := range questions {
		for _, r := range s.replicas {
			if n := len(answers.where(about(q.key), from(r), since(cut))); n < 60 {
				s.Errorf("%s had only %d answers for %q", r.Name(), n, q.key)
			}
		}
	}
	limit, others := rule.Limits()[0], int64(len(s.sides)-1)
	inTime := func(t time.Duration) int64 { return limit.Count * int64(t) / int64(limit.Per) }
	answers.checkOver(s.fleet, questions, others*(limit.Capacity()+inTime(whole.Sub(cut))))
	answers.where(since(whole)).checkOver(s.fleet, questions, 0)
	more := int64(0) // than one bucket, while apart
	for _, side := range s.sides {
		own := answers.where(from(side...), inSides)
		if scale := s.scale(side); scale > 1 {
			l := limit
			l.Count, l.Burst = limit.Count/scale, limit.Capacity()/scale
			s.checkShare(own, questions, l)
			more += l.Capacity() + inTime(healed.Sub(settled))/scale + 1
			continue
		}
		own.checkOver(s.fleet, questions, 0)
	}
	if s.scaled && slices.ContainsFunc(s.sides, func(side []*replica) bool { return len(side) > 2 }) {
		answers.where(inSides).checkOver(s.fleet, questions, more)
	}
}

// checkShare is checkOver by another limit than that of the rule.
func (s *split) checkShare(as answers, qs []question, l bucket.Limit) {
	s.Helper()
	for _, q := range qs {
		// The bucket may have held more than its share when it was divided.
		if tokens, t := as.of(q.key, l).over(); tokens > 1 {
			s.Errorf("a side admitted %d of %q too many within %v, at a share of %v", tokens, q.key, t, l)
		}
	}
}

// Replicas that start apart are whole clusters until they meet: then all that either
// has counted counts.
func TestReplicasStartApart(t *testing.T) {
	story(t, func(f *fleet) {
		f.net.Partition([]*simnet.Host{f.net.Host("10.0.0.1"), f.net.Host("10.0.0.2")}, []*simnet.Host{f.net.Host("10.0.0.3"), f.net.Host("10.0.0.4")})
		f.seeds = []string{"10.0.0.1:7946", "10.0.0.3:7946"}
		f.start(4)
		left, right := f.replicas[:2], f.replicas[2:]
		f.ready(4*time.Second, left...)
		f.ready(4*time.Second, right...)
		rule := bucket.MustRule("api", "30/second burst 20")
		daily := bucket.MustRule("daily", "100/day")
		questions := []question{{rule, "alice", 0}, {rule, "bob", 0}, {rule, "carol", 0}}
		load := f.load(50*time.Millisecond, f.replicas, questions...)
		began := time.Now()
		for i, key := range []string{"dave", "erin", "frank", "grace"} {
			left[0].ask(daily, key, 10+int64(i))
			right[0].ask(daily, key, 30-int64(i))
		}
		time.Sleep(2 * time.Second)
		healed := time.Now()
		f.net.HealAll()
		f.Logf("all agree after %v", f.agree(lookTime, f.replicas...))
		f.ready(time.Second, f.replicas...)
		time.Sleep(time.Second)
		met := time.Now()
		for i, key := range []string{"dave", "erin", "frank", "grace"} {
			if d := f.replicas[i].ask(daily, key, 71+int64(i)); d.Allowed || d.Degraded {
				t.Errorf("%s: more than 100: %+v", key, d)
			}
			if d := f.replicas[3-i].ask(daily, key, 70+int64(i)); !d.Allowed || d.Degraded {
				t.Errorf("%s: no more than 100: %+v", key, d)
			}
		}
		time.Sleep(time.Second)
		answers := load.stop()
		answers.answered(f, 4*3*60)
		limit := rule.Limits()[0]
		answers.checkOver(f, questions, limit.Capacity()+limit.Count*int64(met.Sub(began))/int64(limit.Per))
		answers.where(since(met)).checkOver(f, questions, 0)
		for _, side := range [][]*replica{left, right} {
			answers.where(from(side...), before(healed)).checkOver(f, questions, 0)
		}
	})
}
