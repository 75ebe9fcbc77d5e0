package cluster

import (
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// Partition is one of the 4096 parts of all keys, as a node sees it.
type Partition struct {
	// Owner is who should decide for it, and Standby who should keep the copy; "" is
	// nobody.
	Owner, Standby string
	// Holder is who decides for it, as far as is known here; "" is unknown.
	Holder string
	// State is what this replica has of it: "held", "sending" if it is on its way to
	// another that hasn't acknowledged it, "doubtful" if its only complete copy may be
	// here, "copy" if this replica keeps one for the holder, or "none".
	State string
}

// Table returns all partitions, by number: who owns what, and who has it. It is safe for
// concurrent use.
func (n *Node) Table() []Partition {
	v := n.view.Load()
	table := make([]Partition, ring.Partitions)
	tokens := n.Tokens()
	for i := range table {
		p := &table[i]
		p.Owner, p.Standby, p.State = v.owner(i).name, v.table.Standby(i), tokens[i].state()
		holder := handoff.Boot(n.parts.trails[i].hint.Load())
		kept := handoff.Boot(n.parts.kept[i].Load())
		switch {
		case p.State == "held":
			p.Holder = n.config.Name
			continue
		case p.State == "none" && kept != 0:
			p.State = "copy"
		}
		for _, b := range [...]handoff.Boot{holder, kept} {
			if m := v.reach(b); p.Holder == "" && b != 0 && m != nil && m.peer != nil {
				p.Holder = m.name
			}
		}
	}
	return table
}
