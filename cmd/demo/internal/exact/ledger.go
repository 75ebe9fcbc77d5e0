package exact

import "sync"

// Ledger has a meter for each of some keys, under each of some bounds. It is safe for
// concurrent use.
type Ledger struct {
	bounds []Bound

	mu     sync.Mutex
	meters [][]Meter // by key and bound
	over   []int64   // by key
	total  int64
}

// NewLedger makes a ledger for keys that are known by their numbers, from 0.
func NewLedger(bounds []Bound, keys int) *Ledger {
	l := &Ledger{bounds: bounds, meters: make([][]Meter, keys), over: make([]int64, keys)}
	for i := range l.meters {
		l.meters[i] = make([]Meter, len(bounds))
	}
	return l
}

// Admit is Meter.Admit for a key: an admission is over if it is under any of the bounds.
func (l *Ledger) Admit(key int, asked, answered int64) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.bounds {
		if l.meters[key][i].Admit(b, asked, answered) {
			over = true
		}
	}
	if over {
		l.over[key]++
		l.total++
	}
	return over
}

// Over is how many admissions were over, of all keys.
func (l *Ledger) Over() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Key is how many admissions of a key were over.
func (l *Ledger) Key(key int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over[key]
}
