package pace

import (
	"cmp"
	"slices"
	"sync"
)

// Top counts very many things in little memory, and knows the most frequent of them:
// Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements
// in Data Streams" (2005). A count is never too low, and too high by at most its Error.
// It is safe for concurrent use.
type Top struct {
	room int

	mu     sync.Mutex
	counts map[int]Count
}

// Count is how often a key was counted.
type Count struct {
	Key, N, Error int
}

// NewTop makes a Top that remembers that many keys, at least one.
func NewTop(room int) *Top { return &Top{room: room, counts: make(map[int]Count, room)} }

// Add counts a key once. When there is no room it takes the place of the rarest.
func (t *Top) Add(key int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, known := t.counts[key]
	if !known && len(t.counts) == t.room {
		rarest := Count{N: -1}
		for _, c := range t.counts {
			if rarest.N < 0 || c.N < rarest.N {
				rarest = c
			}
		}
		delete(t.counts, rarest.Key)
		c.N, c.Error = rarest.N, rarest.N
	}
	c.Key = key
	c.N++
	t.counts[key] = c
}

// Most returns the n most frequent, the most frequent first.
func (t *Top) Most(n int) []Count {
	t.mu.Lock()
	all := make([]Count, 0, len(t.counts))
	for _, c := range t.counts {
		all = append(all, c)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Count) int { return cmp.Or(b.N-a.N, a.Key-b.Key) })
	return all[:min(n, len(all))]
}
