package transport

import (
	"net"
	"testing"
)

// The oldest goes: of the host that has too many, or else of all.
func TestACrowdIsBounded(t *testing.T) {
	c := Crowd[string]{Most: 3, MostFrom: 2}
	for _, step := range []struct{ who, from, goes string }{
		{"a", "192.0.2.1:1", ""},
		{"b", "192.0.2.1:2", ""},
		{"c", "192.0.2.2:1", ""},
		{"d", "192.0.2.1:3", "a"},
		{"e", "[2001:db8::1]:1", "b"},
		{"f", "[2001:db8::2]:1", "c"}, // of the same /64
		{"g", "[2001:db8::3]:1", "e"},
	} {
		from, err := net.ResolveTCPAddr("tcp", step.from)
		if err != nil {
			t.Fatal(err)
		}
		goes := c.Enter(step.who, HostOf(from))
		if goes != step.goes {
			t.Errorf("for %s from %s goes %q, want %q", step.who, step.from, goes, step.goes)
		}
		c.Leave(goes)
	}
	c.Leave("nobody")
	if c.Oldest() != "d" {
		t.Errorf("%q has been there for longest", c.Oldest())
	}
}
