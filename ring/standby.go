package ring

import "slices"

// Standby returns the name of the member that would own partition p if p's owner
// were gone: the owner of p in the table of all other members, the same on every
// node. It is "" in a ring of one, and wherever [New] would refuse the others.
//
// The first call for any partition of an owner builds that other table, at the
// cost of New, and concurrent callers for the same owner wait for it. Later
// calls are look-ups. A table is built without any standby because most nodes
// only ever ask for their own partitions: N builds would be N times too many.
func (t *Table) Standby(p int) string {
	owner := t.owners[p]
	t.found[owner].Do(func() { t.findStandbys(owner) })
	if t.standbys[p] == owner {
		return ""
	}
	return t.members[t.standbys[p]].name
}

// findStandbys fills in the standby of every partition of the member with index
// gone. The others keep their indexes in this table.
func (t *Table) findStandbys(gone uint16) {
	others := slices.Delete(slices.Clone(t.members), int(gone), int(gone)+1)
	heirs, err := assign(others, maxLoad)
	if err != nil {
		return
	}
	for p, owner := range t.owners {
		if owner == gone {
			t.standbys[p] = heirs[p]
		}
	}
}
