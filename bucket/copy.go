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

// size is how many bytes finish appends, or a little more.
func (c *copier) size() int {
	if c.count == 0 {
		return 0
	}
	const zone = 32 // of a calendar, more or less
	return 2 + 4 + len(c.numbers)*(2+termBytes+zone) + len(c.records)
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

// Changes hands over the entries that were charged or merged since the last call, each
// partition's in the form of AppendCopy, in one shard of 256. Those of partitions that
// aren't wanted are forgotten: wanted is called under the shard's lock. What each is
// given may be kept. It needs StoreConfig.Track.
func (s *Store) Changes(shard int, now int64, wanted func(partition int) bool, each func(partition int, changes []byte)) {
	var copies [partitionsEach][]byte
	s.changes(&copies, shard%shardCount, now, wanted)
	for i, b := range copies {
		if b != nil {
			each(i*shardCount+shard%shardCount, b)
		}
	}
}

// changes collects what Changes hands over, by the partitions of the shard.
func (s *Store) changes(copies *[partitionsEach][]byte, shard int, now int64, wanted func(partition int) bool) {
	sh := &s.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := sh.table.changed
	if list == nil {
		return
	}
	s.writeOut(shard, now) // which may add to the list
	var copiers [partitionsEach]copier
	share(&copiers, *list)
	for _, d := range *list {
		e := sh.table.find(d.Hi, d.Lo)
		if e == nil || e.limit&changedBit == 0 {
			continue
		}
		e.limit &^= changedBit
		if !wanted(partitionOf(e.hi)) {
			continue
		}
		c := &copiers[partitionIn(e.hi)]
		c.store, c.shard, c.now = s, shard, now
		c.add(e)
	}
	*list = (*list)[:0]
	finish(copies, &copiers) // under the lock: the numbers may be freed after it
}

// finish puts the copies into one piece of memory.
func finish(copies *[partitionsEach][]byte, copiers *[partitionsEach]copier) {
	size := 0
	for i := range copiers {
		size += copiers[i].size()
	}
	all := make([]byte, 0, size)
	for i := range copiers {
		if c := &copiers[i]; c.count > 0 {
			start := len(all)
			all = c.finish(all)
			copies[i] = all[start:len(all):len(all)]
		}
	}
}

// share gives the copiers room for what is on the list, of one piece of memory.
func share(copiers *[partitionsEach]copier, list []Digest) {
	var counts [partitionsEach]int
	for _, d := range list {
		counts[partitionIn(d.Hi)]++
	}
	room := make([]byte, len(list)*copyRecord)
	for i, n := range counts {
		c := &copiers[i]
		c.records, c.numbers = room[:0:n*copyRecord], c.few[:0]
		room = room[n*copyRecord:]
	}
}

// Shards is the number of shards that Changes knows.
const Shards = shardCount

func partitionOf(hi uint64) int { return int(hi >> (64 - partitionBits)) }
