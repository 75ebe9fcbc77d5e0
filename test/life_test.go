package test

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

// rejoinTime is how long a restarted replica may take to be back in every view.
const rejoinTime = time.Second

func TestARestartReplacesTheFormerBootAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(r *replica)
		after time.Duration
		host  string // of the new boot; "" is the same
		limit time.Duration
		which int // of the five
	}{
		{"at the same address at once", (*replica).kill, 0, "", rejoinTime, 2},
		{"at the same address when the others have noticed", (*replica).kill, 5 * time.Second, "", rejoinTime, 2},
		{"elsewhere at once", (*replica).kill, 0, "10.0.0.6", rejoinTime, 2},
		{"elsewhere after a while", (*replica).kill, 500 * time.Millisecond, "10.0.0.6", rejoinTime, 2},
		{"elsewhere after a crash", func(r *replica) { r.host.Crash() }, 0, "10.0.0.6", rejoinTime, 2},
		{"elsewhere after a farewell", func(r *replica) { _ = r.Close(context.Background()) }, 0, "10.0.0.6", rejoinTime, 2},
		// Its only seed is itself, so it waits for a call: until its former boot
		// is known to be dead and one of the others looks for the missing.
		{"the only seed", (*replica).kill, 0, "", detectTime + lookTime, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(5)
				f.ready(formTime, f.replicas...)
				former := f.replicas[tt.which]
				others := f.but(former)
				table := others[0].TableHash()
				rule := bucket.MustRule("api", "1000/second")
				key := former.keyOf(rule, 0)
				load := f.load(20*time.Millisecond, others, question{rule, key, 0})
				time.Sleep(time.Second)
				tt.end(former)
				time.Sleep(tt.after)
				host := former.host
				if tt.host != "" {
					host = f.net.Host(tt.host)
				} else {
					host.Restart()
				}
				f.replace(former, host)
				f.Logf("back in every view after %v", f.agree(tt.limit, f.replicas...))
				back := time.Now()
				if got := others[0].TableHash(); got != table {
					t.Errorf("the table is another: keys have moved")
				}
				f.ready(time.Second, f.replicas...)
				time.Sleep(3 * time.Second) // gossip finds that the former boot is dead
				f.ready(time.Millisecond, f.replicas...)
				answers := load.stop()
				if n := len(answers.where(failed)); n > 0 {
					t.Errorf("%d calls failed", n)
				}
				// The way to the new boot is opened with the view, and then it claims its
				// partitions.
				if n := len(answers.where(since(back.Add(hitTimeout+claimTime)), degraded)); n > 0 {
					t.Errorf("%d answers are degraded after that", n)
				}
			})
		})
	}
}

// Two replicas that were given one name: the later one has it, the former says so
// and is no longer ready, and they don't fight.
func TestTheLaterOfTwoWithOneNameHasIt(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		former := f.replicas[1]
		f.replace(former, f.net.Host("10.0.0.9"))
		f.agree(rejoinTime, f.replicas...)
		for range 20 {
			time.Sleep(time.Second)
			f.ready(time.Millisecond, f.replicas...)
			if former.Ready() {
				t.Fatal("the former is ready")
			}
		}
		if !former.sees(f.replicas) || !former.log.has("a newer replica has taken this one's name") {
			t.Errorf("the former sees %v and logs\n%s", former.Members(), former.log)
		}
		rule := bucket.MustRule("api", "5/hour")
		key := f.replicas[1].keyOf(rule, 0)
		for i := range 6 {
			if d := former.ask(rule, key, 1); d.Allowed != (i < 5) || d.Degraded {
				t.Errorf("call %d through the former: %+v", i, d)
			}
		}
		_ = former.Close(context.Background())
		time.Sleep(5 * time.Second)
		f.ready(time.Millisecond, f.replicas...)
	})
}

// Replicas that crash all but one leave a cluster of one, which goes on.
func TestTheLastReplicaGoesOn(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		last := f.replicas[0]
		for _, r := range f.but(last) {
			r.host.Crash()
		}
		f.ready(10*time.Second, last)
		time.Sleep(claimTime)
		rule := bucket.MustRule("api", "3/hour")
		for i := range 4 {
			if d := last.ask(rule, "alice", 1); d.Degraded || d.Allowed != (i < 3) {
				t.Errorf("call %d: %+v", i, d)
			}
		}
	})
}

// What a test leaves to the harness: nodes whose machine is gone, cut off or
// silent close as well, and in time.
func TestCloseWithoutANetwork(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(4)
		f.ready(formTime, f.replicas...)
		f.replicas[1].host.Crash()
		f.replicas[2].host.Kill()
		f.net.Partition([]*simnet.Host{f.replicas[3].host}, hosts(f.replicas[:3]))
		for i, r := range f.replicas[1:] {
			began := time.Now()
			err := r.Close(context.Background())
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("Close %d took %v: %v", i, took, err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := f.replicas[0].Close(ctx); err == nil || time.Since(began) > 10*time.Millisecond {
			t.Errorf("Close with little time: %v after %v", err, time.Since(began))
		}
	})
}
