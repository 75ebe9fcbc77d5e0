package transport

import "sync"

const (
	// memorySize is how many numbers back a sender's hits are remembered. The hits
	// of a stream that are unanswered have numbers in a row, as frames are answered
	// in order, and the quota lets fewer than quota/hitBytes = 1920 be unanswered: no
	// hit that may come again has been pushed out by a later one.
	memorySize = 2048
	pageSize   = 64
)

// memory is what was answered to the hits of one sender: for each remainder by
// memorySize, the last number and the record that went back. Hits that were not
// debited are not in it: they may come again, and are decided then.
//
// It takes 36 bytes a hit, in pages that are made when their first hit comes.
type memory struct {
	mu    sync.Mutex // held over a whole frame
	pages [memorySize / pageSize]*page
}

type page struct {
	numbers [pageSize]uint64 // 0 is none
	records [pageSize][verdictBytes]byte
}

type memorized uint8

const (
	unheard   memorized = iota // it was not decided before
	decided                    // it was, and this was the answer
	forgotten                  // nobody knows
)

// recall copies the record of a hit, if it was decided before. Number 0 is that of a
// hit which was never sent. m.mu is held.
func (m *memory) recall(number uint64, record []byte) memorized {
	slot := number % memorySize
	p := m.pages[slot/pageSize]
	if p == nil || number == 0 {
		return unheard
	}
	switch last := p.numbers[slot%pageSize]; {
	case last < number:
		return unheard
	case last > number:
		return forgotten
	}
	copy(record, p.records[slot%pageSize][:])
	return decided
}

// remember keeps the record of a hit that was unheard of. m.mu is held.
func (m *memory) remember(number uint64, record []byte) {
	if number == 0 {
		return
	}
	slot := number % memorySize
	p := m.pages[slot/pageSize]
	if p == nil {
		p = new(page)
		m.pages[slot/pageSize] = p
	}
	p.numbers[slot%pageSize] = number
	copy(p.records[slot%pageSize][:], record)
}

// once decides a hit that is unheard of, writes the answer into record, and
// remembers it if anything was debited. m.mu is held.
func (m *memory) once(handler Handler, number uint64, h *Hit, now int64, a *Answer, record []byte) {
	*a = Answer{}
	handler.Decide(h, now, a)
	putAnswer(record, a)
	if !a.NotHeld {
		m.remember(number, record)
	}
}
