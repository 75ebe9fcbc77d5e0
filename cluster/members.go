package cluster

import "github.com/shoal-dev/shoal/bucket"

// Member is one replica of the cluster as a node sees it.
type Member struct {
	Name       string // stable id
	Address    string // where it takes hits from its peers, host:port; "" if standalone
	Partitions int    // how many of the 4096 it owns
	Self       bool
}

// Members returns the replicas that the node believes to be alive, itself
// included, by name.
func (n *Node) Members() []Member {
	v := n.view.Load()
	members := make([]Member, len(v.members))
	for i, m := range v.members {
		members[i] = Member{Name: m.name, Address: m.address, Partitions: v.owned(i), Self: m.peer == nil}
	}
	return members
}

// TableHash identifies the node's table of owners: replicas agree on who owns
// what exactly when their hashes are equal.
func (n *Node) TableHash() uint64 { return n.view.Load().table.Hash() }

// Owner returns the name of the replica that decides for key under rule, which
// must not be nil.
func (n *Node) Owner(rule *bucket.Rule, key string) string {
	return n.view.Load().owner(n.store.Digest(rule, key)).name
}
