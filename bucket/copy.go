package bucket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A copy of buckets travels as: the different limit numbers, each with its
// length, then one record an entry. Times are durations, so no clock is compared
// with another's, and what a copy was late by errs to the strict side.
const (
	copyHeader  = 2 + 4
	copyRecord  = 8 + 8 + 8 + 8 + 4 + 2
	maxCopyRule = 1 << 16
)

var errCopy = errors.New("bucket: malformed copy of buckets")

// copier writes entries.
type copier struct {
	store   *Store
	now     int64
	numbers []uint32 // index in the store, by index in the copy
	records []byte
	count   uint32
}

// add appends an entry; false says that it has no room for another limit.
func (c *copier) add(e *entry) bool {
	place := slices.Index(c.numbers, e.number())
	if place < 0 {
		if place = len(c.numbers); place == maxCopyRule-1 {
			return false
		}
		c.numbers = append(c.numbers, e.number())
	}
	b := c.records
	b = binary.BigEndian.AppendUint64(b, e.hi)
	b = binary.BigEndian.AppendUint64(b, e.lo)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at-c.now))
	b = binary.BigEndian.AppendUint64(b, e.val)
	b = binary.BigEndian.AppendUint32(b, e.seq)
	c.records = binary.BigEndian.AppendUint16(b, uint16(place))
	c.count++
	return true
}

// finish appends the copy to b.
func (c *copier) finish(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.numbers)))
	for _, i := range c.numbers {
		known := c.store.limits.at(i)
		start := len(b)
		b = appendTerms(append(b, 0, 0), []term{known.term})
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
	c := copier{store: s, now: now}
	likely := sh.table.used * shardCount >> partitionBits // a shard has several partitions
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
// aren't wanted are forgotten: wanted is called under the shard's lock. It needs
// StoreConfig.Track.
func (s *Store) Changes(shard int, now int64, wanted func(partition int) bool, each func(partition int, changes []byte)) {
	sh := &s.shards[shard%shardCount]
	sh.mu.Lock()
	byPartition := map[int]*copier{}
	for _, d := range sh.table.changed {
		e := sh.table.find(d.Hi, d.Lo)
		if e == nil || e.limit&changedBit == 0 {
			continue
		}
		e.limit &^= changedBit
		if !wanted(partitionOf(e.hi)) {
			continue
		}
		c := byPartition[partitionOf(e.hi)]
		if c == nil {
			c = &copier{store: s, now: now}
			byPartition[partitionOf(e.hi)] = c
		}
		c.add(e)
	}
	sh.table.changed = sh.table.changed[:0]
	copies := make(map[int][]byte, len(byPartition))
	for p, c := range byPartition {
		copies[p] = c.finish(nil) // under the lock: the numbers may be freed after it
	}
	sh.mu.Unlock()
	for p, b := range copies {
		each(p, b)
	}
}

// Shards is the number of shards that Changes knows.
const Shards = shardCount

// Merge brings together what is here of a partition's keys and what a copy says,
// forgetting nothing that either has counted. It may be done in any order and any
// number of times. The copy is checked: the error says what is wrong with it, and
// no entry can be brought beyond what its limit allows, or into another partition.
func (s *Store) Merge(partition int, copied []byte, now int64) error {
	terms, records, err := parseCopy(copied)
	if err != nil {
		return err
	}
	sh := &s.shards[partition%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for ; len(records) > 0; records = records[copyRecord:] {
		hi, place := binary.BigEndian.Uint64(records), int(binary.BigEndian.Uint16(records[36:]))
		if place >= len(terms) || partitionOf(hi) != partition {
			return fmt.Errorf("%w: an entry of another partition or limit", errCopy)
		}
		t := &terms[place]
		state := t.bounded(State{
			at:  satAdd(now, int64(binary.BigEndian.Uint64(records[16:]))),
			val: binary.BigEndian.Uint64(records[24:]),
			seq: binary.BigEndian.Uint32(records[32:]),
		}, now)
		s.mergeEntry(&sh.table, Digest{hi, binary.BigEndian.Uint64(records[8:])}, t, state, now)
	}
	return nil
}

// mergeEntry merges one state into the table.
func (s *Store) mergeEntry(t *table, id Digest, term *term, state State, now int64) {
	if state.full(now) {
		return
	}
	e := t.find(id.Hi, id.Lo)
	if e == nil {
		if limit, ok := s.limits.number(term); ok {
			e := entry{hi: id.Hi, lo: id.Lo}
			e.set(state, limit)
			t.touch(&e)
			t.insert(e, now)
		}
		return
	}
	if e.state().full(now) { // it says nothing, whatever its window's number
		if limit, ok := s.limits.number(term); ok {
			e.set(state, limit)
			t.touch(e)
		}
		return
	}
	known := s.limits.at(e.number())
	if known.numbers != term.numbers { // this replica's numbers stay, until a hit says otherwise
		state, _ = known.express(state, term, moment{now, satAdd(s.epoch, now)})
	}
	if merged := known.algorithm.Merge(e.state(), state); merged != e.state() {
		e.set(merged, e.number())
		t.touch(e)
	}
}

// bounded is the state s, if its limit could have made it, or else the nearest to
// it that it could: nothing received may bar a key for longer than its own limit.
func (t *term) bounded(s State, now int64) State {
	if t.windowed() {
		s.at = min(s.at, satAdd(now, t.algorithm.windows()*min(t.window.per, maxFill/2)))
		return s
	}
	if s.val >= max(t.gcra.tokens, 1) || t.gcra.debt(s, now).longer(t.gcra.whole) {
		return t.gcra.owing(t.gcra.whole, now)
	}
	return s
}

func parseCopy(b []byte) (terms []term, records []byte, err error) {
	if len(b) < copyHeader {
		return nil, nil, fmt.Errorf("%w: %d bytes", errCopy, len(b))
	}
	places := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	for range places {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, nil, fmt.Errorf("%w: a limit goes beyond the end", errCopy)
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		rule, err := DecodeRule(b[2:end])
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errCopy, err)
		}
		terms = append(terms, rule.terms[0])
		b = b[end:]
	}
	if len(b) < 4 || uint64(len(b)-4) != uint64(binary.BigEndian.Uint32(b))*copyRecord {
		return nil, nil, fmt.Errorf("%w: its length is wrong", errCopy)
	}
	return terms, b[4:], nil
}

func partitionOf(hi uint64) int { return int(hi >> (64 - partitionBits)) }
