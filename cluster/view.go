package cluster

import (
	"maps"
	"slices"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// view is what a node believes of the cluster: who is in it, who owns what, and
// how to reach them. It is made anew with every change and never changed.
type view struct {
	table   *ring.Table
	members []*member // by name, as in the table; those beyond ring.MaxMembers own nothing
}

// member is one living boot of a replica, as seen from here.
type member struct {
	meta
	boot   string          // memberlist's name of it
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
	names := slices.Sorted(maps.Keys(newest))
	table, err := ring.New(names[:min(len(names), ring.MaxMembers)])
	if err != nil {
		return nil, err
	}
	v := &view{table: table}
	for _, name := range names {
		v.members = append(v.members, newest[name])
	}
	return v, nil
}

// newer orders boots of one name; equal epochs, which clocks make unlikely, by
// the boot's random name.
func (m *member) newer(other *member) bool {
	return m.epoch > other.epoch || m.epoch == other.epoch && m.boot > other.boot
}

// owner is the member that decides for a key.
func (v *view) owner(d bucket.Digest) *member {
	return v.members[v.table.OwnerIndex(ring.Partition(d.Hi))]
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

// owned is the number of partitions of the i-th member.
func (v *view) owned(i int) int {
	if i >= ring.MaxMembers {
		return 0
	}
	return v.table.Owned(i)
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
