package bucket

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A copy of buckets travels as: the different limit numbers, each with its
// length, then one record an entry, followed in a SlidingLog's by when each of
// val tokens was taken, oldest first. Times are durations, so no clock is compared
// with another's, and what a copy was late by errs to the strict side.
const (
	copyRecord    = 8 + 8 + 8 + 8 + 4 + 2
	copyTime      = 8
	maxCopyLimits = 1 << 16
)

var errCopy = errors.New("bucket: malformed copy of buckets")

// copier writes entries.
type copier struct {
	store   *Store
	shard   int
	now     int64
	numbers []uint32 // index in the store, by index in the copy
	records []byte
	count   uint32
	few     [2]uint32 // room for the numbers, which are few
}

// add appends an entry; false says that it has no room for another limit.
func (c *copier) add(e *entry) bool {
	place := slices.Index(c.numbers, e.number())
	if place < 0 {
		if place = len(c.numbers); place == maxCopyLimits-1 {
			return false
		}
		c.numbers = append(c.numbers, e.number())
	}
	sh, term := &c.store.shards[c.shard], &c.store.limits.at(e.number()).term
	state, l := sh.table.known(e, term, c.now)
	state = c.store.lent[c.shard].leases[e.hi].frozen(term, state, c.now)
	b := c.records
	b = binary.BigEndian.AppendUint64(b, e.hi)
	b = binary.BigEndian.AppendUint64(b, e.lo)
	b = binary.BigEndian.AppendUint64(b, uint64(state.at-c.now))
	b = binary.BigEndian.AppendUint64(b, state.val)
	b = binary.BigEndian.AppendUint32(b, state.seq)
	b = binary.BigEndian.AppendUint16(b, uint16(place))
	for i := range l.n {
		b = binary.BigEndian.AppendUint64(b, uint64(l.at(i)-c.now))
	}
	c.records = b
	c.count++
	return true
}

// finish appends the copy to b.
func (c *copier) finish(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.numbers)))
	for _, i := range c.numbers {
		known := c.store.limits.at(i)
		start := len(b)
		b = appendTerm(append(b, 0, 0), &known.term, false)
		binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-2))
	}
	b = binary.BigEndian.AppendUint32(b, c.count)
	return append(b, c.records...)
}

// AppendCopy appends all that is known of a partition's keys at now to b, in a
// form for Merge, and returns how many entries that is. It looks at every key of
// the partition's shard, one in 256, under that shard's lock.
func (s *Store) AppendCopy(b []byte, partition int, now int64) (_ []byte, entries int) {
	sh := &s.shards[partition%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.writeOut(partition%shardCount, now)
	c := copier{store: s, shard: partition % shardCount, now: now}
	likely := int(sh.table.used) * shardCount >> partitionBits // a shard has several partitions
	c.records = make([]byte, 0, (likely+likely/4)*copyRecord)
	for i := range sh.table.slots {
		if e := &sh.table.slots[i]; e.live(now) && partitionOf(e.hi) == partition && !c.add(e) {
			break
		}
	}
	return c.finish(b), int(c.count)
}

func partitionOf(hi uint64) int { return int(hi >> (64 - partitionBits)) }
