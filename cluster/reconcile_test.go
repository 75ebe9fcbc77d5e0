package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ seeds, want []string }{
		{nil, nil},
		{[]string{"10.0.0.1:7946", "10.0.0.1:1"}, []string{"10.0.0.1:7946", "10.0.0.1:1"}},
		{[]string{"[fd00::1]:7946", "[::ffff:10.0.0.1]:2"}, []string{"[fd00::1]:7946", "10.0.0.1:2"}},
		{[]string{"no..name:7946", "-:1", "10.0.0.1:1"}, []string{"10.0.0.1:1"}}, // not even a question for DNS
	} {
		if got := resolve(t.Context(), tt.seeds); !slices.Equal(got, tt.want) {
			t.Errorf("%q resolve to %q, want %q", tt.seeds, got, tt.want)
		}
	}
	got := resolve(t.Context(), []string{"localhost:7946"})
	if len(got) == 0 || !slices.Contains([]string{"127.0.0.1:7946", "[::1]:7946"}, got[0]) {
		t.Errorf("localhost resolves to %q", got)
	}
}

func TestWhomToJoin(t *testing.T) {
	addresses := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("10.0.0.%d:7946", i+1))
		}
		return all
	}
	alive := func(some ...string) map[string]bool {
		is := map[string]bool{}
		for _, a := range some {
			is[a] = true
		}
		return is
	}
	const now = int64(time.Minute)
	for _, tt := range []struct {
		name  string
		seeds []string
		alive map[string]bool
		seen  []string // besides the living
		visit bool
		join  int // how many
	}{
		{name: "nobody knows anybody"},
		{name: "nobody is missing", seeds: addresses(3), alive: alive(addresses(3)...)},
		{name: "one in a while is visited all the same", seeds: addresses(3), alive: alive(addresses(3)...), visit: true, join: 1},
		{name: "a missing seed", seeds: addresses(3), alive: alive(addresses(2)...), join: 1},
		{name: "few of many missing seeds", seeds: addresses(20), alive: alive(addresses(10)...), join: 4},
		{name: "the only seed is joined once", seeds: addresses(1), visit: true, join: 1},
		{name: "one of the lost members", alive: alive(addresses(2)...), seen: addresses(7), join: 1},
		{name: "a lost member besides a seed", seeds: []string{"10.0.9.9:1"}, alive: alive(addresses(2)...), seen: addresses(7), join: 2},
		{name: "a lost member that is a seed", seeds: addresses(7)[6:], alive: alive(addresses(6)...), seen: addresses(7), join: 1},
	} {
		chosen := map[string]bool{}
		for range 200 {
			r := reconciler{alive: tt.alive, seen: map[string]int64{}, visit: now + 1}
			for a := range tt.alive {
				r.seen[a] = now
			}
			for _, a := range tt.seen {
				r.seen[a] = now - 1
			}
			if tt.visit {
				r.visit = now
			}
			join := r.missing(slices.Clone(tt.seeds), now)
			if len(join) != tt.join || len(slices.Compact(slices.Sorted(slices.Values(join)))) != tt.join {
				t.Fatalf("%s: joins %q", tt.name, join)
			}
			for _, a := range join {
				chosen[a] = true
				if tt.alive[a] && !tt.visit || !slices.Contains(tt.seeds, a) && !slices.Contains(tt.seen, a) {
					t.Fatalf("%s: joins %q", tt.name, a)
				}
			}
			if tt.visit && r.visit != now+int64(30*time.Second) {
				t.Fatalf("%s: the next visit is at %v", tt.name, time.Duration(r.visit))
			}
		}
		all := map[string]bool{} // that may be chosen, in the long run
		for _, a := range slices.Concat(tt.seeds, tt.seen) {
			if !tt.alive[a] || tt.visit && slices.Contains(tt.seeds, a) {
				all[a] = true
			}
		}
		if len(chosen) != len(all) {
			t.Errorf("%s: in 200 rounds %d addresses were joined, want %d", tt.name, len(chosen), len(all))
		}
	}
}

// Lost members are called for an hour, in case they come back.
func TestLostMembersAreRememberedForAnHour(t *testing.T) {
	g := &gossip{door: door{now: func() int64 { return 0 }}, living: map[string]living{}, kick: make(chan struct{}, 1)}
	r := reconciler{node: &Node{gossip: g}, seen: map[string]int64{}}
	g.note("a/1", &living{boot("a", 1, "1").encode(), "10.0.0.1:7946"})
	g.note("b/1", &living{boot("b", 1, "1").encode(), "10.0.0.2:7946"})
	const hour = int64(time.Hour)
	r.look(5)
	g.note("b/1", nil)
	for _, tt := range []struct {
		now  int64
		want []string
	}{
		{5 + 1, []string{"10.0.0.2:7946"}},
		{5 + hour, []string{"10.0.0.2:7946"}},
		{5 + hour + 1, nil},
	} {
		r.visit = tt.now + 1
		r.look(tt.now)
		if join := r.missing(nil, tt.now); !slices.Equal(join, tt.want) {
			t.Errorf("after %v: joins %q, want %q", time.Duration(tt.now-5), join, tt.want)
		}
	}
}
