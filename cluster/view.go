package cluster

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

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
	boots   []handoff.Boot // of the members, sorted
	hash    uint64         // of boots
	// former are boots that gossip has given up, but not the stream to them: it may
	// be mistaken, and then they are still holders.
	former map[handoff.Boot]*member
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
	v := &view{byID: map[handoff.Boot]*member{}, former: map[handoff.Boot]*member{}}
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		m := newest[name]
		v.members = append(v.members, m)
		v.byID[m.id] = m
		v.boots = append(v.boots, m.id)
		if !m.leaving {
			v.ring = append(v.ring, m)
		}
	}
	slices.Sort(v.boots)
	v.hash = hashBoots(v.boots)
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

func hashBoots(boots []handoff.Boot) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, b := range boots {
		var bytes [8]byte
		binary.BigEndian.PutUint64(bytes[:], uint64(b))
		_, _ = d.Write(bytes[:])
	}
	return d.Sum64()
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

// reach returns the member with that id, or whoever was one and can still be
// reached, or nil.
func (v *view) reach(b handoff.Boot) *member {
	if m := v.byID[b]; m != nil {
		return m
	}
	if m := v.former[b]; m.alive() {
		return m
	}
	return nil
}

// alive reports whether a member is there, which this node itself always is.
func (m *member) alive() bool { return m != nil && (m.peer == nil || m.peer.Alive()) }

// agrees reports whether a member that can be reached sees the same members and
// the same table, by what it last said; one that hasn't said anything yet does.
func (v *view) agrees(m *member) bool {
	if m.peer == nil {
		return true
	}
	sight, heard := m.peer.Sight()
	return heard == 0 || sight == transport.Sight{View: v.hash, Table: v.table.Hash()}
}

// heir is whoever takes over a partition from a holder that is gone, or nil.
func (v *view) heir(partition int, holder handoff.Boot) *member {
	if owner := v.owner(partition); owner.id != holder {
		return owner
	}
	return v.standby(partition)
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

// bootHeirs returns the heir of each partition of one owner, 0 where there is none
// and for the partitions of others.
func (v *view) bootHeirs(owner handoff.Boot) []handoff.Boot {
	heirs := make([]handoff.Boot, ring.Partitions)
	for i := range heirs {
		if v.owner(i).id != owner {
			continue
		}
		if m := v.standby(i); m != nil {
			heirs[i] = m.id
		}
	}
	return heirs
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
