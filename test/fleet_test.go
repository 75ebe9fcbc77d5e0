package test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/test/simnet"
)

const (
	latency   = simnet.DefaultLatency // one way
	roundTrip = 2 * latency

	// hitTimeout is Config.HitTimeout's default.
	hitTimeout = 50 * time.Millisecond
	gossipPort = ":7946"

	// denialCap is how long a refusal may be repeated without asking.
	denialCap = 500 * time.Millisecond
	// lentTime is after what time without a hit all that was lent is back.
	lentTime = 200 * time.Millisecond
)

// fleet is a cluster on a network of its own, in a bubble, where time stands
// still while anybody works. Its replicas are named node-1, node-2 and so on, and
// each runs on a machine of its own, 10.0.0.1, 10.0.0.2 and so on.
type fleet struct {
	*testing.T
	net      *simnet.Net
	seeds    []string // of whatever is started from now on
	replicas []*replica
}

// replica is one node with the machine that it runs on.
type replica struct {
	*cluster.Node
	fleet *fleet
	host  *simnet.Host
	log   *logbook
}

// story runs a test on an empty fleet, whose seed is 10.0.0.1. When f returns,
// everything is closed; a goroutine that outlives that fails the test.
func story(t *testing.T, f func(f *fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(simnet.Drain)
		f(&fleet{T: t, net: simnet.New(simnet.Options{Seed: 1}), seeds: []string{"10.0.0.1" + gossipPort}})
	})
}

// start starts n more replicas at once. Each change is made to their
// configurations.
func (f *fleet) start(n int, changes ...func(*cluster.Config)) []*replica {
	f.Helper()
	started := make([]*replica, n)
	for i := range started {
		started[i] = f.startOne(changes...)
	}
	return started
}

// startOne starts the next replica.
func (f *fleet) startOne(changes ...func(*cluster.Config)) *replica {
	f.Helper()
	n := len(f.replicas) + 1
	name := func(c *cluster.Config) { c.Name = fmt.Sprint("node-", n) }
	r := f.startOn(f.net.Host(fmt.Sprint("10.0.0.", n)), append([]func(*cluster.Config){name}, changes...)...)
	f.replicas = append(f.replicas, r)
	return r
}

// startOn starts a replica, which isn't counted among the fleet's, on a host.
func (f *fleet) startOn(host *simnet.Host, changes ...func(*cluster.Config)) *replica {
	f.Helper()
	r := &replica{fleet: f, host: host, log: &logbook{}}
	config := cluster.Config{
		Bind:     "0.0.0.0" + gossipPort,
		Seeds:    f.seeds,
		Insecure: true, // a network of memory keeps strangers out
		Network:  host,
		Log:      slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, change := range changes {
		change(&config)
	}
	node, err := cluster.Start(f.Context(), config)
	if err != nil {
		f.Fatal(err)
	}
	r.Node = node
	f.Cleanup(func() {
		r.end()
		if f.Failed() {
			f.Logf("log of %s:\n%s", r.Name(), r.log)
		}
	})
	return r
}

// kill ends the program of a replica, as kill -9 does, and what is left of it in
// the test: in no time, and heard by nobody.
func (r *replica) kill() {
	r.host.Kill()
	r.end()
}

// end ends what is left of a replica in the test, without a word to the others.
func (r *replica) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Close(ctx) // which tells so
}

// replace starts a replica with the name of one that has ended.
func (f *fleet) replace(old *replica, host *simnet.Host) *replica {
	f.Helper()
	r := f.startOn(host, func(c *cluster.Config) { c.Name = old.Name() })
	f.replicas[slices.Index(f.replicas, old)] = r
	return r
}

// hosts are the machines of some replicas.
func hosts(rs []*replica) []*simnet.Host {
	hosts := make([]*simnet.Host, len(rs))
	for i, r := range rs {
		hosts[i] = r.host
	}
	return hosts
}

// but are the fleet's replicas without some.
func (f *fleet) but(without ...*replica) []*replica {
	return slices.DeleteFunc(slices.Clone(f.replicas), func(r *replica) bool { return slices.Contains(without, r) })
}

// agree waits until these replicas see each other, in their present boots, and
// nobody else, by the same table. It returns how long that took.
func (f *fleet) agree(limit time.Duration, rs ...*replica) time.Duration {
	f.Helper()
	return f.await("agree", limit, func() bool {
		return !slices.ContainsFunc(rs, func(r *replica) bool { return !r.sees(rs) || r.TableHash() != rs[0].TableHash() })
	})
}

// ready is agree, and waits until all are ready as well.
func (f *fleet) ready(limit time.Duration, rs ...*replica) time.Duration {
	f.Helper()
	took := f.agree(limit, rs...)
	return took + f.await("ready", limit-took, func() bool {
		return !slices.ContainsFunc(rs, func(r *replica) bool { return !r.Ready() })
	})
}

// await waits until something has become true, and returns how long that took.
func (f *fleet) await(what string, limit time.Duration, happened func() bool) time.Duration {
	f.Helper()
	began := time.Now()
	for !happened() {
		if time.Since(began) >= limit {
			for _, r := range f.replicas {
				f.Logf("%s sees %v, ready: %v", r.Name(), r.memberNames(), r.Ready())
			}
			f.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// sees reports whether exactly these are the members for r.
func (r *replica) sees(rs []*replica) bool {
	members := r.Members()
	return len(members) == len(rs) && !slices.ContainsFunc(rs, func(other *replica) bool {
		return !slices.ContainsFunc(members, func(m cluster.Member) bool {
			return m.Name == other.Name() && m.Address == other.address()
		})
	})
}

// address is where the replica takes hits from its peers.
func (r *replica) address() string {
	for _, m := range r.Members() {
		if m.Self {
			return m.Address
		}
	}
	return ""
}

func (r *replica) memberNames() []string {
	var names []string
	for _, m := range r.Members() {
		names = append(names, m.Name)
	}
	return names
}

// keyOf returns a key that the replica owns in its own view: another for each n.
func (r *replica) keyOf(rule *bucket.Rule, n int) string {
	for i := 0; ; i++ {
		key := fmt.Sprint(rule.Name(), " ", i) // unique among rules as well
		if r.Owner(rule, key) != r.Name() {
			continue
		}
		if n == 0 {
			return key
		}
		n--
	}
}

// ask takes tokens, and fails the test on any error.
func (r *replica) ask(rule *bucket.Rule, key string, tokens int64) bucket.Decision {
	r.fleet.Helper()
	d, err := r.Take(r.fleet.Context(), rule, key, tokens)
	if err != nil {
		r.fleet.Errorf("%s: Take: %v", r.Name(), err)
	}
	return d
}

// logbook keeps what one replica logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) has(text string) bool { return strings.Contains(l.String(), text) }
