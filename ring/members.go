package ring

import (
	"errors"
	"fmt"
	"slices"
)

// MaxMembers is the largest number of members of a table. Beyond it a build
// takes longer than a change of membership should, and shares of 4096
// partitions become too uneven: the mean at 500 is 8.
const MaxMembers = 500

// ErrMembers is wrapped by every error of [New]. The same names always fail or
// always succeed, on every node, so there is no point in trying them again.
var ErrMembers = errors.New("ring: no table for these members")

// member is a name with its index in the table. It carries the index through the
// library, also into a build without one of the members.
type member struct {
	name  string
	index uint16
}

// String is what the library hashes and tells members apart by.
func (m member) String() string { return m.name }

// sorted checks the names and numbers them in order.
func sorted(names []string) ([]member, error) {
	if n := len(names); n == 0 || n > MaxMembers {
		return nil, fmt.Errorf("%w: got %d, want 1 to %d", ErrMembers, n, MaxMembers)
	}
	names = slices.Sorted(slices.Values(names))
	members := make([]member, len(names))
	for i, name := range names {
		if name == "" {
			return nil, fmt.Errorf("%w: empty name", ErrMembers)
		}
		if i > 0 && name == names[i-1] {
			return nil, fmt.Errorf("%w: %q twice", ErrMembers, name)
		}
		members[i] = member{name: name, index: uint16(i)}
	}
	return members, nil
}
