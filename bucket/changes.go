package bucket

import (
	"slices"
	"sync"
)

// Shards is the number of shards that Changes knows.
const Shards = shardCount

// changes is the memory in which Changes hands over, for the next time: what a store
// changes in a tenth of a second is soon more than all that it keeps.
type changes struct {
	mu      sync.Mutex // before any shard's
	records []byte     // room for those of every partition of the shard
	copies  []byte
	ends    [partitionsEach]int // of each partition's copy
}

// Changes hands over the entries that were charged or merged since the last call, each
// partition's in the form of AppendCopy, in one shard of 256. Those of partitions that
// aren't wanted are forgotten: wanted is called under the shard's lock. What each is
// given is void when it returns. It needs StoreConfig.Track.
func (s *Store) Changes(shard int, now int64, wanted func(partition int) bool, each func(partition int, changes []byte)) {
	c := &s.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	s.collect(shard%shardCount, now, wanted)
	start := 0
	for i, end := range c.ends {
		if end > start {
			each(i*shardCount+shard%shardCount, c.copies[start:end:end])
		}
		start = end
	}
}

// collect makes the copies of what has changed in a shard. s.changes.mu is held.
func (s *Store) collect(shard int, now int64, wanted func(partition int) bool) {
	sh, c := &s.shards[shard], &s.changes
	c.copies, c.ends = c.copies[:0], [partitionsEach]int{}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := sh.table.changed
	if list == nil {
		return
	}
	s.writeOut(shard, now) // which may add to the list
	var copiers [partitionsEach]copier
	c.share(&copiers, *list)
	for _, d := range *list {
		e := sh.table.find(d.Hi, d.Lo)
		if e == nil || e.limit&changedBit == 0 {
			continue
		}
		e.limit &^= changedBit
		if !wanted(partitionOf(e.hi)) {
			continue
		}
		to := &copiers[partitionIn(e.hi)]
		to.store, to.shard, to.now = s, shard, now
		to.add(e)
	}
	*list = (*list)[:0]
	for i := range copiers { // under the lock: the numbers may be freed after it
		if copiers[i].count > 0 {
			c.copies = copiers[i].finish(c.copies)
		}
		c.ends[i] = len(c.copies)
	}
}

// share gives the copiers room for what is on the list, of one piece of memory.
func (c *changes) share(copiers *[partitionsEach]copier, list []Digest) {
	var counts [partitionsEach]int
	for _, d := range list {
		counts[partitionIn(d.Hi)]++
	}
	c.records = slices.Grow(c.records[:0], len(list)*copyRecord)
	room := c.records[:len(list)*copyRecord]
	for i, n := range counts {
		to := &copiers[i]
		to.records, to.numbers = room[:0:n*copyRecord], to.few[:0]
		room = room[n*copyRecord:]
	}
}
