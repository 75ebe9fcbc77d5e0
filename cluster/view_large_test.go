//go:build !race

package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/shoal-dev/shoal/ring"
)

// The race detector makes the largest tables take seconds, and would find
// nothing: one goroutine builds them.

// More members than a table can have are members all the same, who own nothing;
// and everybody agrees on who they are.
func TestMembersBeyondTheTable(t *testing.T) {
	var boots []*member
	for i := range ring.MaxMembers + 2 {
		boots = append(boots, boot(fmt.Sprintf("node-%03d", i), 1, fmt.Sprint(i)))
	}
	v := mustView(t, boots...)
	slices.Reverse(boots)
	if other := mustView(t, boots...); other.table.Hash() != v.table.Hash() || len(v.members) != len(boots) {
		t.Errorf("%d members, tables %x and %x", len(v.members), v.table.Hash(), other.table.Hash())
	}
	sum := 0
	for i, m := range v.members {
		sum += v.owned(m)
		if i >= ring.MaxMembers && v.owned(m) != 0 {
			t.Errorf("%s owns %d", m.name, v.owned(m))
		}
	}
	if sum != ring.Partitions {
		t.Errorf("%d partitions are owned", sum)
	}
}
