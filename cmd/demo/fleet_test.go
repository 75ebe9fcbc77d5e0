package main

import (
	"slices"
	"strings"
	"testing"
)

// names are the replicas that the dashboard is shown, those that leave in brackets.
func (d *demo) names() string {
	var names []string
	for _, r := range d.Replicas() {
		name := strings.TrimPrefix(r.Node.Name(), "replica-")
		if r.Leaving {
			name = "(" + name + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Replicas come, leave, die and lose sight of each other while clients are served, and the
// lowest free number is given again.
func TestFleet(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	c := newClient(t, "")
	serving := func(when string) {
		t.Helper()
		for range 6 {
			if a := c.get(d.balancer.url() + "/test"); a.status != 200 {
				t.Errorf("%s: %d", when, a.status)
			}
		}
	}
	sides, err := d.Split()
	if err != nil || !slices.Equal(sides[0], []string{"replica-1", "replica-2"}) || !slices.Equal(sides[1], []string{"replica-3"}) {
		t.Errorf("%q, %v", sides, err)
	}
	if name, err := d.Add(t.Context()); err != nil || name != "replica-4" || d.names() != "1 2 3 4" || d.Replicas()[3].Side != 0 {
		t.Fatalf("%q, %v: %s", name, err, d.names())
	}
	eventually(t, "the first side is three", func() bool { return len(d.replicas[3].node.Members()) == 3 })
	serving("while it is split")
	d.Heal()
	eventually(t, "all agree", d.settled)

	if err := d.Kill("replica-2"); err != nil || d.names() != "1 3 4" {
		t.Fatalf("%v: %s", err, d.names())
	}
	serving("after the crash")
	if err := d.Stop("replica-3"); err != nil || d.names() != "1 4 (3)" {
		t.Fatalf("%v: %s", err, d.names())
	}
	serving("while one leaves")
	if name, err := d.Add(t.Context()); err != nil || name != "replica-2" {
		t.Fatalf("%q, %v", name, err)
	}
	eventually(t, "replica-3 has left", func() bool { return d.names() == "1 2 4" })
	eventually(t, "the others agree", d.settled)
	serving("with three again")

	for _, name := range []string{"replica-1", "replica-2"} {
		if err := d.Stop(name); err != nil {
			t.Error(err)
		}
	}
	if err := d.Kill("replica-4"); err != errLast {
		t.Errorf("killing the last: %v", err)
	}
	if _, err := d.Split(); err == nil {
		t.Error("one replica was split")
	}
	if err := d.Stop("replica-1"); err == nil || !strings.Contains(err.Error(), `no replica is called "replica-1"`) {
		t.Errorf("stopping it twice: %v", err)
	}
}
