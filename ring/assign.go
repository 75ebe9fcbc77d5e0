package ring

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// The parameters of the algorithm, chosen by measurement. Whoever changes one
// splits a cluster of mixed versions: the golden test is there to stop that.
const (
	// pointsPerMember: with 20, a join moves 1.04, 1.09 and 1.6 times the ideal at
	// 3, 10 and 100 members. With 100 it would be 1.0, 1.0 and 1.15, for builds
	// that take seven times as long at 100 members, 56 ms instead of 8.
	pointsPerMember = 20

	// maxLoad is the largest share of a member, over the mean. With 1.05, full
	// members pass so much on to others that a join moves 1.4 times the ideal at
	// 10 members and 3 times at 100.
	maxLoad = 1.25
)

// hasher places members and partitions on the circle. It need not be keyed:
// partitions are numbers, and names are the operator's.
type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// assign returns the index of the owner of each partition.
//
// The library panics where it finds no room, and it runs in the goroutine that
// follows the membership, where a panic ends the user's process: so it becomes
// an error. None was met at any N from 1 to MaxMembers with names of three
// kinds, nor can be while the members together have room for all partitions. It
// takes 20 pairs of colliding hashes to rob a member of its points, so there is
// no second algorithm for that case.
//
// The one floating-point expression is a quotient times a constant, which gives
// the same bits on every architecture.
func assign(members []member, load float64) (owners [Partitions]uint16, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: placing %d: %v", ErrMembers, len(members), r)
		}
	}()
	c := consistent.New(libraryMembers(members), consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    Partitions,
		ReplicationFactor: pointsPerMember,
		Load:              load,
	})
	for p := range owners {
		owner, ok := c.GetPartitionOwner(p).(member)
		if !ok {
			return owners, fmt.Errorf("%w: partition %d has no owner", ErrMembers, p)
		}
		owners[p] = owner.index
	}
	return owners, nil
}

func libraryMembers(members []member) []consistent.Member {
	ms := make([]consistent.Member, len(members))
	for i, m := range members {
		ms[i] = m
	}
	return ms
}

// hash digests the parameters, the names and the owners. A name is preceded by
// its length, so that no two lists of names read the same.
func hash(members []member, owners *[Partitions]uint16) uint64 {
	le := binary.LittleEndian
	var b []byte
	b = le.AppendUint64(b, Partitions)
	b = le.AppendUint64(b, pointsPerMember)
	b = le.AppendUint64(b, math.Float64bits(maxLoad))
	b = le.AppendUint64(b, uint64(len(members)))
	for _, m := range members {
		b = le.AppendUint64(b, uint64(len(m.name)))
		b = append(b, m.name...)
	}
	for _, i := range owners {
		b = le.AppendUint16(b, i)
	}
	return xxhash.Sum64(b)
}
