package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// exhausted are keys of which not one token is left, and none comes back during
// the test.
type exhausted struct {
	rule *bucket.Rule
	keys []string
}

// exhaust takes all tokens of n keys by way of the fleet's replicas in turn.
func (f *fleet) exhaust(n int) exhausted {
	f.Helper()
	e := exhausted{rule: bucket.MustRule("survive", "10/hour")}
	for i := range n {
		e.keys = append(e.keys, fmt.Sprint("user ", i))
		for j := range 10 {
			if d := f.replicas[(i+j)%len(f.replicas)].ask(e.rule, e.keys[i], 1); !d.Allowed || d.Degraded {
				f.Fatalf("%s: hit %d: %+v", e.keys[i], j, d)
			}
		}
	}
	return e
}

// extra asks for one more of each key everywhere, and returns how many passed and
// how many decisions were degraded.
func (e exhausted) extra(rs ...*replica) (passed, degraded int) {
	for _, key := range e.keys {
		for _, r := range rs {
			d := r.ask(e.rule, key, 1)
			if d.Allowed {
				passed++
			}
			if d.Degraded {
				degraded++
			}
		}
	}
	return passed, degraded
}

// none fails the test if any passes, or is decided without its holder, at any of the
// fleet's replicas.
func (e exhausted) none(f *fleet, after string) {
	f.Helper()
	if passed, degraded := e.extra(f.replicas...); passed > 0 || degraded > 0 {
		f.Errorf("after %s: %d more passed, %d decisions were degraded", after, passed, degraded)
	}
}

// The experiment in which Gubernator forgets a quarter of all keys at a join and a
// third at a crash.
func TestNothingIsForgotten(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(10*time.Second, f.replicas...)
		keys := f.exhaust(1000)
		keys.none(f, "exhausting them")

		joined := f.startOne()
		for range 20 { // while partitions move
			if passed, degraded := keys.extra(f.but(joined)...); passed > 0 || degraded > 0 {
				f.Fatalf("during a join: %d more passed, %d decisions were degraded", passed, degraded)
			}
			time.Sleep(10 * time.Millisecond)
		}
		f.ready(10*time.Second, f.replicas...)
		keys.none(f, "a join")

		began := time.Now()
		f.close(joined)
		t.Logf("leaving took %v", time.Since(began))
		f.replicas = f.but(joined)
		keys.none(f, "a leave")
		f.agree(10*time.Second, f.replicas...)

		for _, old := range append([]*replica(nil), f.replicas...) {
			f.close(old)
			f.replace(old, old.host)
			f.ready(10*time.Second, f.replicas...)
			keys.none(f, "the restart of "+old.Name())
		}

		time.Sleep(300 * time.Millisecond) // idle for longer than the replication takes
		victim := f.replicas[1]
		victim.kill()
		f.replicas = f.but(victim)
		passed, degraded := keys.extra(f.replicas...)
		if passed > 0 {
			f.Errorf("right after a crash: %d more passed", passed)
		}
		t.Logf("right after a crash %d of %d decisions were degraded", degraded, 2*len(keys.keys))
		f.agree(10*time.Second, f.replicas...)
		f.ready(10*time.Second, f.replicas...)
		time.Sleep(time.Second)
		keys.none(f, "a crash")
	})
}

// close leaves gracefully.
func (f *fleet) close(r *replica) {
	f.Helper()
	if err := r.Close(f.Context()); err != nil {
		f.Errorf("%s: Close: %v", r.Name(), err)
	}
}
