package cluster

import (
	"cmp"
	"maps"
	"slices"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// view is what a node believes of the cluster: who is in it, who owns what, and
// how to reach them. It is made anew with every change and never changed.
type view struct {
	table   *ring.Table
	members []*member // by name
	ring    []*member // those that own something, as in the table: who leaves doesn't, nor do those beyond ring.MaxMembers
	byID    map[handoff.Boot]*member
}

// member is one living boot of a replica, as seen from here.
type member struct {
	meta
	boot   string          // memberlist's name of it
	id     handoff.Boot    // the short form of that
	gossip string          // host:port
	peer   *transport.Peer // nil for this node itself
}

// newView makes a view of the living boots. Of several with one name the
// highest epoch counts: the older ones have crashed, and gossip will say so
// before long.
func newView(boots []*member) (*view, error) {
	newest := map[string]*member{}
	for _, b := range boots {
		if other := newest[b.name]; other == nil || b.newer(other) {
			newest[b.name] = b
		}
	}
	v := &view{byID: map[handoff.Boot]*member{}}
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		m := newest[name]
		v.members = append(v.members, m)
		v.byID[m.id] = m
		if !m.leaving {
			v.ring = append(v.ring, m)
		}
	}
	if len(v.ring) == 0 { // all leave, and nobody is there to take over
		v.ring = v.members
	}
	v.ring = v.ring[:min(len(v.ring), ring.MaxMembers)]
	names := make([]string, len(v.ring))
	for i, m := range v.ring {
		names[i] = m.name
	}
	var err error
	if v.table, err = ring.New(names); err != nil {
		return nil, err
	}
	return v, nil
}

// newer orders boots of one name; equal epochs, which clocks make unlikely, by
// the boot's random name.
func (m *member) newer(other *member) bool {
	return m.epoch > other.epoch || m.epoch == other.epoch && m.boot > other.boot
}

// owner is the member that should decide for a partition.
func (v *view) owner(partition int) *member { return v.ring[v.table.OwnerIndex(partition)] }

// standby is the member that keeps a copy of a partition's buckets, and would be
// its owner if that were gone; nil if there is none.
func (v *view) standby(partition int) *member {
	name := v.table.Standby(partition)
	i, found := slices.BinarySearchFunc(v.ring, name, func(m *member, name string) int { return cmp.Compare(m.name, name) })
	if !found {
		return nil
	}
	return v.ring[i]
}

// bootOwners returns the owner of each partition, 0 where everybody leaves.
func (v *view) bootOwners() []handoff.Boot {
	owners := make([]handoff.Boot, ring.Partitions)
	for i := range owners {
		if m := v.owner(i); !m.leaving {
			owners[i] = m.id
		}
	}
	return owners
}

// boot returns the member with a boot's name, or nil.
func (v *view) boot(name string) *member {
	for _, m := range v.members {
		if m.boot == name {
			return m
		}
	}
	return nil
}

// tried reports whether the node has tried the way to every other.
func (v *view) tried() bool {
	return !slices.ContainsFunc(v.members, func(m *member) bool { return m.peer != nil && !m.peer.Tried() })
}

// owned is the number of partitions of a member.
func (v *view) owned(m *member) int {
	if i := slices.Index(v.ring, m); i >= 0 {
		return v.table.Owned(i)
	}
	return 0
}

// close closes the way to every peer.
func (v *view) close() {
	for _, m := range v.members {
		if m.peer != nil {
			m.peer.Close()
		}
	}
}

// same reports whether both have the same boots at the same addresses.
func (v *view) same(other *view) bool {
	return slices.EqualFunc(v.members, other.members, func(a, b *member) bool {
		return a.meta == b.meta && a.boot == b.boot && a.gossip == b.gossip
	})
}
