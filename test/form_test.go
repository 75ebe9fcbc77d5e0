package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

const (
	// formTime is how long a cluster may take to form once the last replica is
	// up: to meet, about 0.1 s, and for the view to have settled, 0.5 s.
	formTime = 2 * time.Second
	// lookTime is how long it may take to find a seed that wasn't there for long:
	// a call that nobody answers takes 2 s, and the next comes after 5 s, give
	// or take a fifth.
	lookTime = 8 * time.Second
)

func TestReplicasFindEachOther(t *testing.T) {
	seeds := func(n int) (seeds []string) {
		for i := range n {
			seeds = append(seeds, fmt.Sprintf("10.0.0.%d%s", i+1, gossipPort))
		}
		return seeds
	}
	for _, tt := range []struct {
		name     string
		replicas int
		seeds    []string
		apart    time.Duration // between the starts
		limit    time.Duration
	}{
		{"five at once", 5, seeds(1), 0, formTime},
		{"five at once with three seeds", 5, seeds(3), 0, formTime},
		{"five at once that are all seeds", 5, seeds(5), 0, formTime},
		{"ten at once", 10, seeds(1), 0, formTime},
		{"one after the other", 5, seeds(1), 700 * time.Millisecond, formTime},
		{"ten in haste", 10, seeds(2), 30 * time.Millisecond, formTime},
		{"the only seed comes last", 5, seeds(5)[4:], 200 * time.Millisecond, 3 * time.Second},
		{"the only seed comes late", 5, seeds(5)[4:], 5 * time.Second, lookTime + formTime},
		{"one of the seeds never comes", 5, []string{"10.0.0.99:7946", "10.0.0.2:7946"}, 0, formTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.seeds = tt.seeds
				for i := range tt.replicas {
					if i > 0 {
						time.Sleep(tt.apart)
					}
					f.start(1)
				}
				f.Logf("formed %v after the last start", f.ready(tt.limit, f.replicas...))
				partitions := 0
				for _, m := range f.replicas[0].Members() {
					partitions += m.Partitions
				}
				if partitions != 4096 {
					t.Errorf("%d partitions have an owner", partitions)
				}
				time.Sleep(2 * time.Second)
				f.ready(time.Millisecond, f.replicas...)
			})
		})
	}
}

// A replica that has met nobody isn't ready, lest it hand out whole limits of
// its own during a deploy; after 3 s it must be the first.
func TestTheFirstReplicaIsReadyAfterThreeSeconds(t *testing.T) {
	story(t, func(f *fleet) {
		f.seeds = []string{"10.0.0.9:7946"}
		alone := f.startOne()
		if took := f.ready(4*time.Second, alone); took < 3*time.Second {
			t.Errorf("ready after %v", took)
		}
		f.seeds = nil
		if took := f.ready(time.Second, f.startOne()); took < 500*time.Millisecond {
			t.Errorf("without seeds ready after %v", took)
		}
	})
}

func TestAClusterFormsAndStaysThroughLoss(t *testing.T) {
	story(t, func(f *fleet) {
		f.net.SetLoss(0.2)
		f.start(5)
		f.Logf("formed within %v", f.ready(15*time.Second, f.replicas...))
		time.Sleep(20 * time.Second)
		// A false death at this moment would be forgiven: it is refuted.
		f.agree(5*time.Second, f.replicas...)
	})
}

func TestClustersOfDifferentNamesNeverMeet(t *testing.T) {
	story(t, func(f *fleet) {
		named := func(name string) func(*cluster.Config) {
			return func(c *cluster.Config) { c.Cluster = name }
		}
		f.seeds = []string{"10.0.0.1:7946", "10.0.0.3:7946"} // one of each
		red := f.start(2, named("red"))
		blue := f.start(2, named("blue"))
		rule := bucket.MustRule("api", "10/hour")
		for range 20 {
			time.Sleep(time.Second)
			f.agree(formTime, red...)
			f.agree(formTime, blue...)
		}
		key := red[0].keyOf(rule, 0)
		for _, r := range []*replica{red[0], red[1], blue[0], blue[1]} {
			for range 5 {
				if d := r.ask(rule, key, 1); !d.Allowed || d.Degraded {
					t.Errorf("%s: %+v; each cluster has ten", r.Name(), d)
				}
			}
		}
	})
}

func TestReplicasOfDifferentDigestKeysRefuseEachOther(t *testing.T) {
	story(t, func(f *fleet) {
		keyed := func(key string) func(*cluster.Config) {
			return func(c *cluster.Config) { c.DigestKey = []byte(key) }
		}
		right := f.start(2, keyed("sixteen bytes, at least"))
		wrong := f.startOne(keyed("sixteen bytes, and others"))
		f.ready(formTime, f.replicas...) // gossip doesn't know the key
		rule := bucket.MustRule("api", "10/hour")
		for _, tt := range []struct{ from, to *replica }{{right[0], wrong}, {wrong, right[1]}, {right[0], right[1]}} {
			// The owner is a matter of the asker's digest.
			key := ""
			for i := 0; tt.from.Owner(rule, key) != tt.to.Name(); i++ {
				key = fmt.Sprint("key ", i)
			}
			d := tt.from.ask(rule, key, 1)
			if differ := tt.from == wrong || tt.to == wrong; d.Degraded != differ || !d.Allowed {
				t.Errorf("%s to %s: %+v", tt.from.Name(), tt.to.Name(), d)
			}
		}
		for _, r := range f.replicas {
			if !r.log.has("under another DigestKey; all replicas need the same") {
				t.Errorf("%s doesn't log the cause:\n%s", r.Name(), r.log)
			}
		}
	})
}
