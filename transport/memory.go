package transport

import "sync"

const (
	// memorySize is how many entries of a sender are remembered. The hits of a
	// stream that are unanswered are the last that it sent, as frames are answered in
	// order, and the quota lets fewer than quota/hitBytes = 1920 entries be unanswered:
	// none that may come again has been pushed out by a later one.
	memorySize = 2048
	pageSize   = 64
)

// memory is what was answered to the last entries of one sender, by the numbers of
// their hits. Those that were not debited are not in it: they may come again, and are
// decided then.
//
// Entries nearly always come with rising numbers, so the memory is a ring that is in
// order. One that comes by another way, before others that were sent earlier, has
// those put in before it.
//
// It takes 88 bytes an entry, and what its fields need, in pages that are made when
// they are first needed.
type memory struct {
	mu    sync.Mutex // held over a whole frame
	pages [memorySize / pageSize]*[pageSize]memorized
	head  int    // where the oldest is
	used  int    // how many there are
	end   uint64 // number after the last
}

// memorized is what was answered to an entry.
type memorized struct {
	first  uint64 // number of its first hit
	count  uint32
	record [verdictBytes]byte
	fields fields
}

type recall uint8

const (
	unheard   recall = iota // it was not decided before
	decided                 // it was, and this was the answer
	forgotten               // nobody knows
)

// at is the i-th oldest entry, or the place for it.
func (m *memory) at(i int) *memorized {
	slot := (m.head + i) % memorySize
	p := &m.pages[slot/pageSize]
	if *p == nil {
		*p = new([pageSize]memorized)
	}
	return &(*p)[slot%pageSize]
}

// behind is how many entries begin before a number. m.mu is held.
func (m *memory) behind(number uint64) int {
	from, to := 0, m.used
	for from < to {
		if half := (from + to) / 2; m.at(half).first < number {
			from = half + 1
		} else {
			to = half
		}
	}
	return from
}

// recall finds what was answered to the count hits from a number on. They were
// decided as they are now, as part of what was found, or not at all; anything else is
// forgotten. Number 0 is that of a hit which was never sent. m.mu is held.
func (m *memory) recall(number uint64, count int) (*memorized, recall) {
	if number >= m.end || number == 0 {
		return nil, unheard
	}
	if past := number + uint64(count); past < number {
		return nil, forgotten
	}
	i := m.behind(number + 1)
	if i == 0 && m.used == memorySize {
		return nil, forgotten // it would be the oldest
	}
	if i > 0 {
		if e := m.at(i - 1); number-e.first < uint64(e.count) {
			if number-e.first+uint64(count) <= uint64(e.count) {
				return e, decided
			}
			return nil, forgotten
		}
	}
	if i < m.used && m.at(i).first < number+uint64(count) {
		return nil, forgotten
	}
	return nil, unheard
}

// remember keeps the answer to an entry that was unheard of. m.mu is held.
func (m *memory) remember(number uint64, count int, record []byte, f fields) {
	if number == 0 {
		return
	}
	i := m.used
	if number < m.end {
		i = m.behind(number)
	}
	if m.used == memorySize {
		m.head = (m.head + 1) % memorySize
		i--
	} else {
		m.used++
	}
	for j := m.used - 1; j > i; j-- { // whose fields' memory goes along
		a, b := m.at(j), m.at(j-1)
		*a, *b = *b, *a
	}
	e := m.at(i)
	e.first, e.count, e.fields = number, uint32(count), append(e.fields[:0], f...)
	copy(e.record[:], record)
	m.end = max(m.end, number+uint64(count))
}
