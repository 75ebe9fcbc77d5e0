package dashboard

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/ring"
)

func TestTheWheelFollowsTheRing(t *testing.T) {
	table, err := ring.New([]string{"replica-1", "replica-2", "replica-3"})
	if err != nil {
		t.Fatal(err)
	}
	places, changes := order(), 0
	seen := map[int]bool{}
	for i, p := range places {
		seen[p] = true
		if table.Owner(p) != table.Owner(places[(i+1)%len(places)]) {
			changes++
		}
	}
	// By number two neighbours out of three have different owners: 2730.
	if len(seen) != ring.Partitions || changes > 1600 {
		t.Errorf("%d partitions, the owner changes %d times around the ring", len(seen), changes)
	}
}

func TestCells(t *testing.T) {
	tokens := make([][ring.Partitions]cluster.Token, 2)
	tokens[0][0], tokens[1][0] = cluster.TokenHeld, cluster.TokenElsewhere
	tokens[0][1], tokens[1][1] = cluster.TokenSending, cluster.TokenElsewhere
	tokens[0][2], tokens[1][2] = cluster.TokenSending, cluster.TokenHeld // not acknowledged yet
	tokens[0][3], tokens[1][3] = cluster.TokenElsewhere, cluster.TokenDoubtful
	tokens[0][4], tokens[1][4] = cluster.TokenHeld, cluster.TokenHeld
	tokens[0][5], tokens[1][5] = cluster.TokenDoubtful, cluster.TokenSending
	w := turn(order(), []int{4, 7}, tokens)
	for partition, want := range []byte{4, 4 | cellMoving, 7, 7 | cellDoubt, 4 | cellDouble, 7 | cellMoving, 0} {
		for place, p := range order() {
			if p == partition && w[place] != want {
				t.Errorf("partition %d: cell %d, want %d", partition, w[place], want)
			}
		}
	}
	if w.held() != 2 {
		t.Errorf("%d held", w.held())
	}
}

// three is a sight of replicas that all see each other, with all partitions at the first.
func three() sight {
	s := sight{wheels: make([]wheel, 1)}
	for i := range s.wheels[0] {
		s.wheels[0][i] = 1
	}
	names := []string{"replica-1", "replica-2", "replica-3"}
	for i, name := range names {
		s.replicas = append(s.replicas, seen{name: name, number: i + 1, table: 9, members: names})
	}
	return s
}

func TestSettled(t *testing.T) {
	for name, change := range map[string]func(*sight){
		"a partition at nobody":   func(s *sight) { s.wheels[0][5] = 0 },
		"one is moving":           func(s *sight) { s.wheels[0][5] = 1 | cellMoving },
		"at two":                  func(s *sight) { s.wheels[0][5] = 1 | cellDouble },
		"another table":           func(s *sight) { s.replicas[1].table = 8 },
		"one is missed":           func(s *sight) { s.replicas[1].members = s.replicas[1].members[:2] },
		"one leaves":              func(s *sight) { s.replicas[2].leaving = true },
		"a partition to be moved": func(s *sight) { s.replicas[2].awaits = true },
	} {
		s := three()
		if !s.settled() || !s.whole() {
			t.Fatal("not settled")
		}
		if change(&s); s.settled() {
			t.Errorf("settled: %s", name)
		}
	}
}

func TestTheWatchTellsOfHandOffs(t *testing.T) {
	w := newWatch()
	s := three()
	if got := w.step(s, time.Second); got != nil {
		t.Errorf("at first: %v", got)
	}
	moving := three()
	for i := range 10 {
		moving.wheels[0][i] = 1 | cellMoving
	}
	if got := w.step(moving, 2*time.Second); got != nil {
		t.Errorf("meanwhile: %v", got)
	}
	after := three()
	for i := range 10 {
		after.wheels[0][i] = 2
	}
	if got := w.step(after, 2*time.Second+200*time.Millisecond); len(got) != 1 || got[0].text != "hand-off of 10 partitions took 250 ms" {
		t.Errorf("%v", got)
	}
	after.wheels = []wheel{after.wheels[0]}
	after.wheels[0][11] = 3
	if got := w.step(after, 3*time.Second); len(got) != 1 || got[0].text != "hand-off of 1 partition took 50 ms" {
		t.Errorf("between two looks: %v", got)
	}
	if w.turn(s.wheels) != true || w.turn(three().wheels) {
		t.Error("a wheel that has not changed is another")
	}
}

func TestTheWatchKeepsExpectations(t *testing.T) {
	w := newWatch()
	w.step(three(), 0)
	w.expect(expectation{"crash", time.Second, func(s sight) bool { return !s.sees("replica-3") }, "given up"})
	w.expect(expectation{"join", time.Second, func(s sight) bool { return s.has("replica-9") }, "never"})
	if got := w.step(three(), 2*time.Second); got != nil {
		t.Errorf("too early: %v", got)
	}
	two := three()
	two.replicas = two.replicas[:2]
	for i := range two.replicas {
		two.replicas[i].members = []string{"replica-1", "replica-2"}
	}
	if got := w.step(two, 2300*time.Millisecond); len(got) != 1 || got[0] != (remark{"crash", "given up after 1.3 s"}) {
		t.Errorf("%v", got)
	}
	if got := w.step(two, 2*time.Minute); got != nil || len(w.waiting) != 0 {
		t.Errorf("%v, %d still open", got, len(w.waiting))
	}
	for range 2 * maxExpectations {
		w.expect(expectation{}) // never blocks
	}
}

func TestTheDiaryForgetsTheOldest(t *testing.T) {
	var d diary
	for range diaryLength + 5 {
		d.write(1500*time.Millisecond, "load", "text")
	}
	all := d.after(0)
	if len(all) != diaryLength || all[0] != (event{6, 1500, "load", "text"}) {
		t.Errorf("%d events from %+v", len(all), all[0])
	}
	if rest := d.after(diaryLength + 3); len(rest) != 2 || d.after(diaryLength+5) != nil {
		t.Errorf("%d after", len(rest))
	}
}

func TestGuarantee(t *testing.T) {
	for _, tt := range []struct {
		name   string
		happen func(*guarantee)
		most   int64
		reason string
	}{
		{"nothing", func(g *guarantee) {}, 0, ""},
		{"a crash", func(g *guarantee) { g.kill(5*time.Second, 12, false) }, 12, "last 100 ms"},
		{"a crash before all was copied", func(g *guarantee) { g.kill(5*time.Second, 12, true) }, 12 + 2*20, "last 100 ms"},
		{"a split that lasts", func(g *guarantee) { g.split(5 * time.Second) }, 2 * (20 + 50 + 1), "split for 5.0 s"},
		{"a split that has healed", func(g *guarantee) {
			g.split(2 * time.Second)
			g.split(3 * time.Second) // it is split already
			g.see(4*time.Second, true)
			g.heal()
			g.see(4*time.Second, false)
			g.see(5*time.Second, true)
		}, 2 * (20 + 30 + 1), "split for 3.0 s"},
		{"two splits", func(g *guarantee) {
			for _, at := range []time.Duration{1, 4} {
				g.split(at * time.Second)
				g.heal()
				g.see((at+1)*time.Second, true)
			}
		}, 2 * (40 + 20 + 1), "split for 2.0 s"},
		{"a silent replica that was taken over", func(g *guarantee) { g.forced(5 * time.Second); g.see(6*time.Second, true) }, 2 * (20 + 10 + 1), "split for 1.0 s"},
		{"one that has crashed", func(g *guarantee) { g.kill(4*time.Second, 3, false); g.forced(5 * time.Second) }, 3, "crash"},
		{"a side of a split", func(g *guarantee) { g.split(10 * time.Second); g.forced(10 * time.Second) }, 2 * 21, "split"},
		{"a busy machine", func(g *guarantee) { g.degraded(time.Second) }, 1, "too busy"},
		{"standbys after a crash", func(g *guarantee) { g.kill(time.Second, 3, false); g.degraded(2 * time.Second) }, 3, "crash"},
		{"long after it", func(g *guarantee) { g.kill(time.Second, 3, false); g.degraded(7 * time.Second) }, 4, "crash"},
		{"sides of a split", func(g *guarantee) { g.split(10 * time.Second); g.degraded(10 * time.Second) }, 2 * 21, "split"},
	} {
		g := newGuarantee(exact.Bound{Count: 10, Per: time.Second, Burst: 20}, 2)
		tt.happen(g)
		most, reasons := g.most(10 * time.Second)
		if most != tt.most || !strings.Contains(strings.Join(reasons, "; "), tt.reason) || (most == 0) != (reasons == nil) {
			t.Errorf("%s: at most %d, %q; want %d, %q", tt.name, most, reasons, tt.most, tt.reason)
		}
	}
}

func TestRecent(t *testing.T) {
	var r recent
	for ms := range int64(1000) {
		r.add(ms)
	}
	if got := r.last(100, 999); got != 110 { // whole slots
		t.Errorf("%d in the last 100 ms, of one each", got)
	}
	if got := r.last(100, 5000); got != 0 {
		t.Errorf("%d long after", got)
	}
}

func TestOrders(t *testing.T) {
	good := orders{Rate: 100, Keys: 5, Seconds: 1.5, Limit: "20/second burst 30"}
	p, l, b, err := good.parse()
	if err != nil || p.Duration != 1500*time.Millisecond || l.Burst != 30 || b.Burst != 30 {
		t.Errorf("%+v, %v, %+v, %v", p, l, b, err)
	}
	for want, change := range map[string]func(*orders){
		"rate 0 is":               func(o *orders) { o.Rate = 0 },
		"keys -1 is":              func(o *orders) { o.Keys = -1 },
		"skew 9 is":               func(o *orders) { o.Skew = 9 },
		"duration 0 is":           func(o *orders) { o.Seconds = 0 },
		"duration 1e+300 is":      func(o *orders) { o.Seconds = 1e300 },
		"limit: bucket: ":         func(o *orders) { o.Limit = "ten" },
		"has 2 limits":            func(o *orders) { o.Limit = "1/second; 5/minute" },
		"is above 1000000":        func(o *orders) { o.Limit = "1000001/second" },
		"limit: 2 concurrent":     func(o *orders) { o.Limit = "2 concurrent" },
		"limit: 2 per 1 month ca": func(o *orders) { o.Limit = "2 per month calendar" },
	} {
		o := good
		change(&o)
		if _, _, _, err := o.parse(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}
