package cluster

import (
	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
)

// Member is one replica of the cluster as a node sees it.
type Member struct {
	Name       string // stable id
	Address    string // where it takes hits from its peers, host:port; "" if standalone
	Partitions int    // how many of the 4096 it owns
	Leaving    bool   // it is handing over what it has
	Reachable  bool   // it answers
	Agrees     bool   // it sees the same members, and the same table of owners
	Self       bool
}

// Members returns the replicas that the node believes to be alive, itself
// included, by name.
func (n *Node) Members() []Member {
	v := n.view.Load()
	members := make([]Member, len(v.members))
	for i, m := range v.members {
		members[i] = Member{
			Name: m.name, Address: m.address, Partitions: v.owned(m),
			Leaving: m.leaving, Reachable: m.alive(), Agrees: v.agrees(m), Self: m.peer == nil,
		}
	}
	return members
}

// TableHash identifies the node's table of owners: replicas agree on who owns
// what exactly when their hashes are equal.
func (n *Node) TableHash() uint64 { return n.view.Load().table.Hash() }

// Owner returns the name of the replica that should decide for key under rule,
// which must not be nil. While partitions move another may still do so.
func (n *Node) Owner(rule *bucket.Rule, key string) string {
	return n.view.Load().owner(ring.Partition(n.store.Digest(rule, key).Hi)).name
}
