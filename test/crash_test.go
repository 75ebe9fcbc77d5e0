package test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/test/simnet"
)

const (
	// detectTime is how long the others may take to agree that a replica has crashed.
	detectTime = 3 * time.Second
	// silentTime is how long it takes until a silent holder isn't waited for any more
	// and its standby decides: three times 100 ms from what it owed last.
	silentTime = 400 * time.Millisecond
	// claimTime is how long the next owner may take to hold what the dead one held.
	claimTime = 500 * time.Millisecond
	// forceTime is how long a claim waits for one who never answers.
	forceTime = 2 * time.Second
	// replicateTime is how old what the standby knows may be.
	replicateTime = 100*time.Millisecond + 10*roundTrip
)

func TestAnOwnerDiesUnderLoad(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*simnet.Host)
	}{
		{"killed", (*simnet.Host).Kill},
		{"crashed", (*simnet.Host).Crash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) { anOwnerDies(f, tt.end) })
		})
	}
}

func anOwnerDies(f *fleet, end func(*simnet.Host)) {
	f.start(5)
	f.ready(formTime, f.replicas...)
	victim := f.replicas[2]
	others := f.but(victim)
	share := bucket.MustRule("share", "100/second")
	allow := bucket.MustRule("allow", "50/second", bucket.WithFailurePolicy(bucket.Allow))
	deny := bucket.MustRule("deny", "70/second", bucket.WithFailurePolicy(bucket.Deny))
	plenty := bucket.MustRule("plenty", "100000/second", bucket.WithFailurePolicy(bucket.Deny))
	questions := []question{
		{share, victim.keyOf(share, 0), 0}, {share, victim.keyOf(share, 1), 10 * time.Millisecond},
		{allow, victim.keyOf(allow, 2), 0}, {deny, victim.keyOf(deny, 3), 20 * time.Millisecond},
		{plenty, victim.keyOf(plenty, 4), 0},
	}
	load := f.load(10*time.Millisecond, others, questions...)
	time.Sleep(1050 * time.Millisecond) // between two rounds of the replication
	died := time.Now()
	end(victim.host)
	f.Logf("the others agree %v after the end", f.agree(detectTime, others...))
	agreed := time.Now()
	f.ready(time.Second, others...)
	time.Sleep(2 * time.Second)
	answers := load.stop()

	if n := len(answers.where(failed)); n > 0 {
		f.Errorf("%d calls failed", n)
	}
	for _, a := range answers.where(degraded) {
		if a.sent.Add(a.took).Before(died) || a.sent.After(agreed.Add(claimTime)) {
			f.Fatalf("degraded, %v after the end: %+v", a.sent.Sub(died), a)
		}
	}
	for _, q := range questions {
		all := answers.where(about(q.key))
		limit := q.rule.Limits()[0]
		lost := all.where(endedSince(died.Add(-replicateTime)), before(died)).of(q.key, limit).admitted()
		// What the standby and the next owner admit is short of what was admitted, or
		// lent, since the last copy.
		byHeir := all.where(func(a answer) bool { return a.sent.Before(died) || a.sent.After(died.Add(silentTime)) })
		lost += limit.Capacity() / 4 // may have been lent
		byHeir.checkOver(f, []question{q}, lost)
		// The policy decides in between alone.
		switch q.rule.FailurePolicy() {
		case bucket.LocalShare:
			shares := int64(len(others)) * (limit.Capacity()/5 + 1 + limit.Count/5*int64(silentTime)/int64(time.Second))
			all.check(f, []question{q}, lost+shares, reserve(limit))
		case bucket.Deny:
			all.check(f, []question{q}, lost, reserve(limit))
		}
		for _, a := range all.where(since(died.Add(silentTime))) {
			if q.rule == plenty && !a.Allowed {
				f.Fatalf("refused %v after the end, when the standby should decide: %+v", a.sent.Sub(died), a)
			}
		}
		for _, r := range others {
			if n := len(all.where(from(r), since(died))); n < 300 {
				f.Errorf("%s had only %d answers for %q after the end", r.Name(), n, q.key)
			}
		}
	}
}

// A holder and whoever has its copy crash at once, or all replicas are restarted:
// nothing is kept on disk, so limits begin anew, once.
func TestTooManyCrashAtOnce(t *testing.T) {
	const burst = 10
	for _, tt := range []struct {
		name  string
		crash int
		again bool
	}{{"two of four", 2, false}, {"two of four, which return at once", 2, true}, {"all", 4, true}} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(4)
				f.ready(formTime, f.replicas...)
				keys := f.exhaust(150)
				time.Sleep(3 * replicateTime)
				victims := slices.Clone(f.replicas[4-tt.crash:])
				lost := map[string]bool{}
				for _, key := range keys.keys {
					lost[key] = slices.ContainsFunc(victims, func(r *replica) bool { return r.Name() == f.replicas[0].Owner(keys.rule, key) })
				}
				for _, r := range victims {
					r.kill()
				}
				survivors := f.but(victims...)
				for _, r := range victims {
					if !tt.again {
						break
					}
					r.host.Restart()
					f.replace(r, r.host)
					survivors = append(survivors, f.replicas[slices.IndexFunc(f.replicas, func(n *replica) bool { return n.Name() == r.Name() })])
				}
				f.ready(formTime+detectTime+forceTime, survivors...)
				time.Sleep(claimTime) // those who were ready before still are
				anew := 0
				for i, key := range keys.keys {
					more := 0
					for range burst + 1 {
						d := survivors[i%len(survivors)].ask(keys.rule, key, 1)
						if d.Degraded {
							f.Fatalf("%q: %+v", key, d)
						}
						if d.Allowed {
							more++
						}
					}
					switch {
					case more > 0 && !lost[key]:
						t.Errorf("%d more of %q, whose holder lives", more, key)
					case more != 0 && more != burst:
						t.Errorf("%d more of %q; all or nothing is lost", more, key)
					case more > 0:
						anew++
					}
				}
				t.Logf("%d of %d keys have begun anew", anew, len(keys.keys))
				if anew == 0 || tt.crash == 4 && anew < len(keys.keys) || tt.crash == 2 && anew > len(keys.keys)*2/5 {
					t.Errorf("%d of %d keys have begun anew", anew, len(keys.keys))
				}
			})
		})
	}
}
