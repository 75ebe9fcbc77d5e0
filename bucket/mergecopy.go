package bucket

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Merge brings together what is here of a partition's keys and what a copy says,
// forgetting nothing that either has counted. It may be done in any order and any
// number of times. The copy is checked as a whole before anything is done: the
// error says what is wrong with it, and no entry can be brought beyond what its
// limit allows, or into another partition.
//
// Where MaxLimits different limits are in use already, what a copy says of another is
// dropped, and counted in Stats.Unmerged. Its keys are refused until there is room, and
// then may have one burst more.
func (s *Store) Merge(partition int, copied []byte, now int64) error {
	return s.merge(nil, partition, copied, now)
}

// Keep is Merge for whoever only keeps the copy, which is so while held is 0: then
// Changes doesn't hand over what it says. The condition is looked at under the lock that
// AppendCopy takes as well: what is kept is in every copy made after held has changed.
func (s *Store) Keep(held *atomic.Int64, partition int, copied []byte, now int64) error {
	return s.merge(held, partition, copied, now)
}

// merge is Keep, and Merge where held is nil.
func (s *Store) merge(held *atomic.Int64, partition int, copied []byte, now int64) error {
	c, err := parseCopy(partition, copied)
	if err != nil {
		return err
	}
	sh := &s.shards[partition%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		defer func(list *[]Digest) { sh.table.changed = list }(sh.table.changed)
		sh.table.changed = nil
	}
	var ring []int64 // of the log at hand
	for b := c.records; len(b) > 0; {
		t := &c.terms[binary.BigEndian.Uint16(b[36:])]
		id := Digest{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
		state := t.bounded(State{
			at:  satAdd(now, int64(binary.BigEndian.Uint64(b[16:]))),
			val: binary.BigEndian.Uint64(b[24:]),
			seq: binary.BigEndian.Uint32(b[32:]),
		}, now)
		b = b[copyRecord:]
		var l log
		if t.algorithm == SlidingLog {
			if ring == nil {
				ring = make([]int64, min(maxLog, ceilPower(len(c.records)/copyTime)))
			}
			n := int(state.val)
			l = t.decodeLog(ring, b[:n*copyTime], now)
			state, b = t.window.logState(&l), b[n*copyTime:]
		}
		if isShared(id.Hi) {
			sh.table.receiveShared(id, t, now)
			s.foreign.Store(true)
		}
		s.mergeEntry(&sh.table, id, t, state, l, now)
	}
	return nil
}

// mergeEntry merges one state, and the log behind it, into the table.
func (s *Store) mergeEntry(t *table, id Digest, term *term, state State, l log, now int64) {
	if state.full(now) {
		return
	}
	e := t.find(id.Hi, id.Lo)
	switch {
	case e != nil:
		if isShared(id.Hi) {
			e.sameWindow(&state)
		}
		s.join(t, e, term, state, l, now)
		return
	case !isShared(id.Hi) && !s.roomForOne(t, term, id.Hi, now):
		s.fold(t, id.Hi, term, state, l, now)
		return
	}
	limit, ok := s.limits.number(term)
	if !ok {
		t.aside.unmerged++
		return
	}
	fresh := entry{hi: id.Hi, lo: id.Lo}
	t.replace(&fresh, limit, term, state, l)
	t.touch(&fresh)
	t.insert(fresh, now)
}

// join brings an entry together with another state of the same limit.
func (s *Store) join(t *table, e *entry, term *term, state State, l log, now int64) {
	if e.state().full(now) { // it says nothing, whatever its window's number
		limit, ok := s.limits.number(term)
		if !ok {
			t.aside.unmerged++
			return
		}
		t.replace(e, limit, term, state, l)
		t.touch(e)
		return
	}
	known := &s.limits.at(e.number()).term
	if known.numbers != term.numbers { // this replica's numbers stay, until a hit says otherwise
		from := term
		state, _ = known.express(state, from, moment{now, satAdd(s.epoch, now)})
		if state.seq = e.seq; l.n > 0 && known.algorithm == SlidingLog {
			l.stretch(from.window.per, known.window.per, now)
		}
	}
	if t.merge(e, known, state, l, now) {
		t.touch(e)
	}
}

// bounded is the state s, if its limit could have made it, or else the nearest to
// it that it could: nothing received may bar a key for longer than its own limit.
func (t *term) bounded(s State, now int64) State {
	if t.windowed() {
		s.at = min(s.at, satAdd(now, t.algorithm.windows()*t.window.longest()-1))
		if t.algorithm == FixedWindow {
			s.val = min(s.val, 1<<63-1) // a count, with room for more
		}
		return s
	}
	if s.val >= max(t.gcra.tokens, 1) || t.gcra.debt(s, now).longer(t.gcra.whole) {
		return t.gcra.owing(t.gcra.whole, now)
	}
	return s
}

// decodeLog reads when tokens were taken into a ring with room for them: within
// per, not after now, and in order.
func (t *term) decodeLog(ring []int64, b []byte, now int64) log {
	l := log{ring: ring}
	for ; len(b) > 0; b = b[copyTime:] {
		age := min(max(0, -int64(binary.BigEndian.Uint64(b))), t.window.per)
		l.add(1, now-age)
	}
	l.expire(t.window.per, now)
	return l
}

// copied is a copy that has been found right.
type copied struct {
	terms   []term
	records []byte
}

func parseCopy(partition int, b []byte) (c copied, err error) {
	if len(b) < 2 {
		return c, fmt.Errorf("%w: %d bytes", errCopy, len(b))
	}
	places := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; places*(2+termBytes) > len(b) {
		return c, fmt.Errorf("%w: %d limits in %d bytes", errCopy, places, len(b))
	}
	c.terms = make([]term, places)
	for i := range c.terms {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return c, fmt.Errorf("%w: a limit goes beyond the end", errCopy)
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		d, rest, err := decodeTerm(b[2:end])
		if err != nil {
			return c, fmt.Errorf("%w: %w", errCopy, err)
		}
		c.terms[i] = d.term
		if len(rest) > 0 {
			return c, fmt.Errorf("%w: %d bytes after a limit", errCopy, len(rest))
		}
		b = b[end:]
	}
	if len(b) < 4 {
		return c, fmt.Errorf("%w: it ends before its entries", errCopy)
	}
	c.records = b[4:]
	return c, c.check(partition, int(binary.BigEndian.Uint32(b)))
}

// check goes through the records.
func (c *copied) check(partition, entries int) error {
	b := c.records
	for range entries {
		if len(b) < copyRecord {
			return fmt.Errorf("%w: fewer than %d entries", errCopy, entries)
		}
		place := int(binary.BigEndian.Uint16(b[36:]))
		if place >= len(c.terms) || partitionOf(binary.BigEndian.Uint64(b)) != partition {
			return fmt.Errorf("%w: an entry of another partition or limit", errCopy)
		}
		val := binary.BigEndian.Uint64(b[24:])
		b = b[copyRecord:]
		if c.terms[place].algorithm != SlidingLog {
			continue
		}
		if val > maxLog || uint64(len(b)) < val*copyTime {
			return fmt.Errorf("%w: a log of %d tokens; at most %d, and no more than there are", errCopy, val, maxLog)
		}
		b = b[val*copyTime:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %d bytes after the last entry", errCopy, len(b))
	}
	return nil
}
