package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// churn is a random history of replicas that come, go, crash and lose each other.
// What it does follows from its seed, but when exactly something happens in the
// cluster doesn't, as goroutines run in any order; so a failure prints both.
type churn struct {
	*fleet
	random *rand.Rand
	began  time.Time
	log    strings.Builder
	hosts  int // made so far

	mu      sync.Mutex
	serving []*replica         // those that may be asked
	died    map[*replica]death // without a farewell
	moved   []time.Time        // when the membership was about to change
}

// death is when and how a replica crashed, and when the others knew.
type death struct{ at, known time.Time }

// newChurn starts n replicas.
func newChurn(f *fleet, seed uint64, n int) *churn {
	c := &churn{fleet: f, random: rand.New(rand.NewPCG(seed, 0)), died: map[*replica]death{}}
	f.Cleanup(func() {
		if f.Failed() {
			f.Logf("seed %d; what happened:\n%s", seed, &c.log)
		}
	})
	c.hosts = n
	c.serving = slices.Clone(f.start(n))
	f.ready(formTime, f.replicas...)
	c.began = time.Now()
	return c
}

func (c *churn) note(format string, args ...any) {
	fmt.Fprintf(&c.log, "  %8v  %s\n", time.Since(c.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// live are those that may be asked.
func (c *churn) live() []*replica {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.serving)
}

// serve lets a replica be asked, or not.
func (c *churn) serve(r *replica, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = slices.DeleteFunc(c.serving, func(s *replica) bool { return s == r })
	if on {
		c.serving = append(c.serving, r)
	}
}

func (c *churn) any() *replica { return c.replicas[c.random.IntN(len(c.replicas))] }

// pair are two different replicas.
func (c *churn) pair() (a, b *replica) {
	i, j := c.random.IntN(len(c.replicas)), c.random.IntN(len(c.replicas)-1)
	if j >= i {
		j++
	}
	return c.replicas[i], c.replicas[j]
}

func (c *churn) wait(least, most time.Duration) {
	time.Sleep(least + time.Duration(c.random.Int64N(int64(most-least))))
}

func (c *churn) join() {
	c.hosts++
	name := fmt.Sprint("node-", c.hosts)
	c.note("%s joins", name)
	c.change()
	c.resolve()
	r := c.startOn(c.net.Host(fmt.Sprint("10.0.0.", c.hosts)), func(c *cluster.Config) { c.Name = name })
	c.replicas = append(c.replicas, r)
	c.settle()
	c.serve(r, true)
}

// resolve has the next replica find those that are there.
func (c *churn) resolve() {
	c.seeds = nil
	for _, r := range c.replicas {
		c.seeds = append(c.seeds, r.host.Addr()+gossipPort)
	}
}

func (c *churn) leave(r *replica) {
	c.note("%s leaves", r.Name())
	c.change()
	c.serve(r, false)
	c.close(r)
	c.replicas = c.but(r)
}

// restart is a leave, after which the next boot of the name comes at the same address.
func (c *churn) restart(r *replica) {
	c.note("%s is restarted", r.Name())
	c.change()
	c.serve(r, false)
	c.close(r)
	c.resolve()
	next := c.replace(r, r.host)
	c.settle()
	c.serve(next, true)
}

// crash ends a replica without a farewell, and waits until the others know.
func (c *churn) crash(r *replica) {
	c.note("%s crashes", r.Name())
	c.serve(r, false)
	c.mu.Lock()
	c.died[r] = death{at: time.Now()}
	c.mu.Unlock()
	if c.random.IntN(2) == 0 {
		r.host.Crash()
		r.end()
	} else {
		r.kill()
	}
	c.replicas = c.but(r)
	c.settle()
	c.mu.Lock()
	c.died[r] = death{c.died[r].at, time.Now()}
	c.mu.Unlock()
}

func (c *churn) change() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = append(c.moved, time.Now())
}

// settle waits until all agree and are ready.
func (c *churn) settle() { c.fleet.ready(20*time.Second, c.replicas...) }

// cut cuts some link, or several, or splits the fleet.
func (c *churn) cut() {
	a, b := c.pair()
	switch c.random.IntN(5) {
	case 0:
		c.note("%s and %s can't reach each other", a.Name(), b.Name())
		c.net.Cut(a.host, b.host)
	case 1:
		c.note("%s isn't heard by %s", a.Name(), b.Name())
		c.net.CutOneWay(a.host, b.host)
	case 2:
		c.note("%s and %s can't send each other hits", a.Name(), b.Name())
		c.net.Hush(a.host, b.host)
	case 3:
		c.note("%s and %s can't gossip", a.Name(), b.Name())
		c.net.Mute(a.host, b.host)
	case 4:
		n := 1 + c.random.IntN(len(c.replicas)-1)
		c.note("the first %d are apart from the others", n)
		c.net.Partition(hosts(c.replicas[:n]), hosts(c.replicas[n:]))
	}
}

// trouble makes the network a little worse than it was.
func (c *churn) trouble() {
	a, b := c.pair()
	switch c.random.IntN(4) {
	case 0:
		d := time.Duration(c.random.IntN(3000)) * time.Microsecond
		c.note("the latency becomes %v", d)
		c.net.SetLatency(d)
	case 1:
		c.note("%s and %s lose their streams", a.Name(), b.Name())
		c.net.Reset(a.host, b.host)
	case 2:
		c.note("packets are lost")
		c.net.SetLoss(0.1)
	case 3:
		d := time.Duration(c.random.IntN(60)) * time.Millisecond
		c.note("%s becomes slow, by %v", a.Name(), d)
		a.host.SetDelay(d)
	}
}

// calm ends all troubles.
func (c *churn) calm() {
	c.note("all is well")
	c.net.HealAll()
	c.net.SetLoss(0)
	c.net.SetLatency(latency)
	for i := range c.hosts {
		c.net.Host(fmt.Sprint("10.0.0.", i+1)).SetDelay(0)
	}
}

// end makes sure that in the end everybody agrees, every partition has one holder, and
// nobody waits for anything.
func (c *churn) end() {
	c.Helper()
	c.calm()
	c.settle()
	unsettled := func() (bad string) {
		held := 0
		for _, r := range c.replicas {
			m := r.Metrics()
			held += m.Handoff.Held
			if h := m.Handoff; h.Sending+h.Doubtful+h.Missing > 0 || m.Unreachable+m.Disagreeing > 0 {
				bad += fmt.Sprintf("%s: %+v\n", r.Name(), m)
			}
		}
		if held != 4096 {
			bad += fmt.Sprintf("%d partitions are held", held)
		}
		return bad
	}
	for until := time.Now().Add(5 * time.Second); unsettled() != "" && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
	}
	if bad := unsettled(); bad != "" {
		c.Errorf("not settled:\n%s", bad)
	}
}

// load has all that serve at a time ask every so often, and returns the answers of
// those that lived to give them.
func (c *churn) load(every time.Duration, questions ...question) *traffic {
	l := c.fleet.load(every, nil)
	l.wg.Go(func() {
		for l.ctx.Err() == nil {
			for _, r := range c.live() {
				for _, q := range questions {
					l.wg.Go(func() { l.ask(r, q) })
				}
			}
			time.Sleep(every)
		}
	})
	return l
}

// survived marks the answers that nobody has got, since their replica crashed: they
// weren't admitted, but may have been debited.
func (c *churn) survived(as answers) answers {
	for i, a := range as {
		if d, dead := c.died[a.from]; dead && !a.sent.Add(a.took).Before(d.at) {
			as[i].Allowed, as[i].Degraded = false, true
		}
	}
	return as
}
