// Package cutnet is a network for several replicas in one process whose hosts can be
// cut apart, and killed. Sockets are the operating system's, on loopback; what is
// added stands between them and a cluster.Node:
//
//   - across a cut nothing arrives. Packets are lost; what is written to a stream is
//     held, as TCP does, and arrives when the cut has healed; a dial waits.
//   - a killed host has no sockets any more, from one moment to the next: its peers
//     read a reset, as when a process gets SIGKILL, and nothing that the node says
//     afterwards leaves it, a farewell least of all.
//
// A host is known by its name. Which host an address belongs to is noted when it is
// bound or dialled from, so an end of a stream knows who is at the other one.
package cutnet

import (
	"log/slog"
	"sync"
)

// Net is the network. It is safe for concurrent use.
type Net struct {
	log *slog.Logger

	mu      sync.Mutex
	hosts   map[string]string // by address, those of the past included
	sides   map[string]int    // by host, while there is a cut; the others are on side 0
	changed chan struct{}     // closed, and replaced, when sides has changed
}

// New makes a whole network without hosts. log receives what memberlist's transports
// complain of.
func New(log *slog.Logger) *Net {
	return &Net{log: log, hosts: map[string]string{}, changed: make(chan struct{})}
}

// Split puts hosts on sides: nothing passes from one side to another. Those that aren't
// named, also later ones, are on side 0.
func (n *Net) Split(sides map[string]int) { n.set(sides) }

// Heal puts all on one side.
func (n *Net) Heal() { n.set(nil) }

func (n *Net) set(sides map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sides = sides
	close(n.changed)
	n.changed = make(chan struct{})
}

// Side is the side that a host is on, and whether there is more than one.
func (n *Net) Side(host string) (side int, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sides[host], n.sides != nil
}

// cut reports whether nothing passes between a host and an address, and returns the
// channel that is closed when that may have changed.
func (n *Net) cut(host, address string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	other, known := n.hosts[address]
	return known && n.sides[host] != n.sides[other], n.changed
}

// note says whose an address is. It stays so until another takes it: what a closed
// stream still has to say is its sender's.
func (n *Net) note(address, host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = host
}
