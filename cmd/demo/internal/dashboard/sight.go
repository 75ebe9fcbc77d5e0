package dashboard

import (
	"slices"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/ring"
)

// sight is what was seen of all replicas at one moment.
type sight struct {
	wheels   []wheel // by side
	replicas []seen
}

// seen is one replica.
type seen struct {
	name    string
	number  int
	side    int
	leaving bool
	table   uint64
	members []string // whom it sees, itself included
	awaits  bool     // partitions that it owns
}

// see looks at the replicas: at the wheels last, so that they show what has been settled.
func see(order []int, replicas []Replica) (s sight) {
	for _, r := range replicas {
		one := seen{name: r.Node.Name(), number: r.Number, side: r.Side, leaving: r.Leaving, table: r.Node.TableHash()}
		for _, m := range r.Node.Members() {
			one.members = append(one.members, m.Name)
		}
		s.replicas = append(s.replicas, one)
	}
	sides := 1
	for _, r := range replicas {
		sides = max(sides, r.Side+1)
	}
	for side := range sides {
		var numbers []int
		var tokens [][ring.Partitions]cluster.Token
		for i, r := range replicas {
			if r.Side == side {
				numbers = append(numbers, r.Number)
				tokens = append(tokens, r.Node.Tokens())
				s.replicas[i].awaits = slices.Contains(tokens[len(tokens)-1][:], cluster.TokenAwaited)
			}
		}
		s.wheels = append(s.wheels, turn(order, numbers, tokens))
	}
	return s
}

// settled reports whether on each side all see exactly each other, by the same table, and
// every partition has one holder.
func (s sight) settled() bool {
	for i := range s.wheels {
		if s.wheels[i].held() != ring.Partitions {
			return false
		}
	}
	tables, size := map[int]uint64{}, map[int]int{}
	for _, r := range s.replicas {
		size[r.side]++
		if table, known := tables[r.side]; known && table != r.table {
			return false
		}
		tables[r.side] = r.table
	}
	for _, r := range s.replicas {
		if r.leaving || r.awaits || len(r.members) != size[r.side] {
			return false
		}
	}
	return true
}

// whole reports whether nothing is cut, and all is settled.
func (s sight) whole() bool { return len(s.wheels) == 1 && s.settled() }

// sees reports whether a replica other than the named one sees it.
func (s sight) sees(name string) bool {
	for _, r := range s.replicas {
		if r.name == name {
			continue
		}
		for _, m := range r.members {
			if m == name {
				return true
			}
		}
	}
	return false
}

// has reports whether the named one is there.
func (s sight) has(name string) bool {
	for _, r := range s.replicas {
		if r.name == name {
			return true
		}
	}
	return false
}
