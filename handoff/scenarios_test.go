//go:build !race

package handoff

import (
	"flag"
	"testing"
	"time"
)

var (
	large    = flag.Bool("handoff.large", false, "search all scenarios with larger bounds, for some twenty minutes")
	inFlight = flag.Int("handoff.net", 2, "how many messages are in flight, up to 3, with -handoff.large")
	perTable = flag.Int("handoff.states", 1_000_000, "how many states are searched for each table, with -handoff.large")
)

// scenario is what happens to a cluster, at any time and in any order.
type scenario struct {
	name   string
	start  set  // who is there from the start, and knows the others
	holder Boot // who holds, 0 for nobody
	again  Boot // of whom boot D is a later start
	events []event

	split   bool // two may hold: only I3 is required
	standby bool // the holder copies to others
	large   bool // complete only with -handoff.large, if then
	// Bounds. versions is the counter from which on nobody releases or claims.
	net, versions, debits int
	anywhere              bool // releases go to any member, not only to the owner
}

const (
	bootA Boot = iota + 1
	bootB
	bootC
	bootD
)

func scenarios() []*scenario {
	const a, ab, abc = 1, 3, 7
	one := func(e ...event) []event { return e }
	return []*scenario{
		{name: "first boot, join", start: a, events: one(event{joins, bootB, 0})},
		{name: "two boot together", start: ab},
		{name: "join", start: a, holder: bootA, events: one(event{joins, bootB, 0})},
		{name: "join of a third", start: ab, holder: bootA, events: one(event{joins, bootC, 0}), large: true},
		{name: "two joins", start: a, holder: bootA, events: one(event{joins, bootB, 0}, event{joins, bootC, 0}), large: true},
		{name: "owner leaves", start: abc, holder: bootA, events: one(event{leaves, bootA, 0}), large: true},
		{name: "owner of two leaves", start: ab, holder: bootA, events: one(event{leaves, bootA, 0})},
		{name: "owner and standby leave", start: abc, holder: bootA, events: one(event{leaves, bootA, 0}, event{leaves, bootB, 0}), large: true},
		{name: "join, owner leaves", start: ab, holder: bootA, events: one(event{joins, bootC, 0}, event{leaves, bootA, 0}), large: true},
		{name: "join, other leaves", start: ab, holder: bootA, events: one(event{joins, bootC, 0}, event{leaves, bootB, 0}), large: true},
		{name: "newcomer leaves", start: ab, holder: bootA, events: one(event{joins, bootC, 0}, event{leaves, bootC, 0}), large: true},
		{name: "newcomer to one leaves", start: a, holder: bootA, events: one(event{joins, bootB, 0}, event{leaves, bootB, 0})},
		{name: "two joins, owner leaves", start: a, holder: bootA, events: one(event{joins, bootB, 0}, event{joins, bootC, 0}, event{leaves, bootA, 0}), large: true},
		{name: "rolling restart", start: ab, holder: bootA, again: bootA, events: one(event{leaves, bootA, 0}, event{joins, bootD, 0})},
		{name: "rolling restart, other leaves", start: abc, holder: bootA, again: bootA, events: one(event{leaves, bootA, 0}, event{joins, bootD, 0}, event{leaves, bootB, 0}), large: true},
		{name: "owner of two crashes", start: ab, holder: bootA, standby: true, events: one(event{crashes, bootA, 0})},
		{name: "owner crashes", start: abc, holder: bootA, standby: true, events: one(event{crashes, bootA, 0}), large: true},
		{name: "join, owner crashes", start: ab, holder: bootA, standby: true, events: one(event{joins, bootC, 0}, event{crashes, bootA, 0}), large: true},
		{name: "join, other crashes", start: ab, holder: bootA, standby: true, events: one(event{joins, bootC, 0}, event{crashes, bootB, 0}), large: true},
		{name: "standby leaves, owner crashes", start: abc, holder: bootA, standby: true, events: one(event{leaves, bootB, 0}, event{crashes, bootA, 0}), large: true},
		{name: "crash and restart of two", start: ab, holder: bootA, again: bootA, standby: true, events: one(event{crashes, bootA, 0}, event{joins, bootD, 0})},
		{name: "crash and restart", start: abc, holder: bootA, again: bootA, standby: true, events: one(event{crashes, bootA, 0}, event{joins, bootD, 0}), large: true},
		{name: "one of three suspects the owner", start: abc, holder: bootA, events: one(event{suspects, bootB, bootA}), large: true},
		{name: "one of two suspects the owner", start: ab, holder: bootA, events: one(event{suspects, bootB, bootA}), split: true},
		{name: "two suspect each other", start: ab, holder: bootA, events: one(event{suspects, bootB, bootA}, event{suspects, bootA, bootB}), split: true},
		{name: "join, one suspects", start: ab, holder: bootA, events: one(event{joins, bootC, 0}, event{suspects, bootB, bootA}), split: true, large: true},
		{name: "releases to anybody", start: abc, holder: bootA, anywhere: true, large: true},
		{name: "join, releases to anybody", start: ab, holder: bootA, events: one(event{joins, bootC, 0}), anywhere: true, large: true},
		{name: "dead link", start: ab, holder: bootA, events: one(event{forces, bootB, bootA}), split: true},
		{name: "dead link among three", start: abc, holder: bootA, events: one(event{forces, bootB, bootA}), split: true, large: true},
		{name: "owner stood still", start: ab, holder: bootA, events: one(event{pauses, bootA, 0})},
		{name: "join, owner stood still", start: ab, holder: bootA, events: one(event{joins, bootC, 0}, event{pauses, bootA, 0}), large: true},
	}
}

// bound sets the bounds of a complete search, unless s has its own.
func (s *scenario) bound(net, versions, debits int) *scenario {
	bounded := *s
	bounded.net, bounded.versions, bounded.debits = net, versions, debits
	return &bounded
}

func (s *scenario) under(t table, r rules) *check {
	return &check{scenario: s, rules: r, table: t, views: new([boots][2][1 << boots][1 << boots]*View)}
}

// tables are those that differ in what they say of the scenario's replicas.
func (s *scenario) tables() []table {
	ids := set(0)
	for b := Boot(1); b <= boots; b++ {
		if has(s.start, b) {
			ids |= 1 << s.id(b)
		}
	}
	for _, e := range s.events {
		if e.kind == joins {
			ids |= 1 << s.id(e.boot)
		}
	}
	var all []table
	seen := map[table]bool{}
	for _, t := range tables() {
		short := table{}
		for i := range short {
			if set(i)&^ids == 0 {
				short[i] = t[i]
			}
		}
		if !seen[short] {
			seen[short] = true
			all = append(all, t)
		}
	}
	return all
}

// TestScenarios searches everything that can happen in each scenario, under all
// tables.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			switch {
			case *large:
				checkScenario(t, s.bound(*inFlight, 4, 2), *perTable, 300)
			case s.large:
				checkScenario(t, s.bound(1, 2, 1), 15_000, 5)
			default:
				checkScenario(t, s.bound(2, 4, 2), 60_000, 50)
			}
		})
	}
}

// checkScenario makes sure that all invariants hold in s, as far as limit states
// for each table.
func checkScenario(t *testing.T, s *scenario, limit, samples int) {
	start := time.Now()
	states, cut := 0, 0
	for i, table := range s.tables() {
		c := s.under(table, theRules())
		r := c.search(limit, samples)
		states += r.states
		if !r.complete {
			cut++
		}
		if r.fault != "" {
			t.Fatalf("table %v: %v", table, r)
		}
		for j, w := range r.samples {
			if fault, trace := c.settle(w, uint64(i*samples+j)); fault != "" {
				t.Fatalf("table %v, sample %d of seed %d: %v", table, j, i*samples+j, result{fault: fault, trace: trace})
			}
		}
	}
	took := time.Since(start).Seconds()
	t.Logf("%d states under %d tables, %d of them cut, %.0f states per second", states, len(s.tables()), cut, float64(states)/took)
}
