//go:build !race

package handoff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// result is what a search has found.
type result struct {
	states   int
	complete bool
	fault    string   // the first that is violated, on a shortest way; "" is none
	trace    []string // the way there
	samples  []world  // some of the states, the same each time
}

// search visits all worlds that can come of c's scenario, the nearest first, but
// not more than limit.
type search struct {
	*check
	limit   int
	hashes  []uint64 // of the worlds, in the order of their discovery
	parents []uint32
	index   []uint32 // a hash table of places in hashes, plus 1
	level   []world  // found last
	next    []world
}

// faults returns what is wrong with w.
func (c *check) faults(w *world) string {
	if c.split {
		return ""
	}
	holders := 0
	for b := Boot(1); b <= boots; b++ {
		if n := w.at(b); n.life == alive && n.state == Hold {
			holders++
			if w.required&^n.data != 0 {
				return fmt.Sprintf("I2: %s holds and lacks %d debits", b.name(), (w.required &^ n.data).size())
			}
		}
	}
	if holders > 1 {
		return fmt.Sprintf("I1: %d boots hold", holders)
	}
	return ""
}

func (c *check) search(limit, samples int) result {
	s := search{check: c, limit: limit, index: make([]uint32, 1<<10)}
	start := c.begin()
	s.add(start.hash(), 0)
	s.next = []world{start}
	r := result{complete: true}
	random := rand.New(rand.NewPCG(1, 1))
	for base := 0; len(s.next) > 0 && r.fault == ""; {
		s.level, s.next = s.next, s.level[:0]
		for i := range s.level {
			w := &s.level[i]
			if at := random.IntN(base + i + 1); len(r.samples) < samples {
				r.samples = append(r.samples, *w)
			} else if at < samples {
				r.samples[at] = *w
			}
			s.expand(w, func(_ step, found *world) { s.find(&r, found, base+i) })
			if r.fault != "" || !r.complete {
				break
			}
		}
		if !r.complete {
			break
		}
		base += len(s.level)
	}
	r.states = len(s.hashes)
	return r
}

// find notes a world that follows from the one of number parent.
func (s *search) find(r *result, w *world, parent int) {
	if r.fault != "" || !r.complete || !s.add(w.hash(), uint32(parent)) {
		return
	}
	if len(s.hashes) >= s.limit {
		r.complete = false
	}
	if r.fault = s.faults(w); r.fault != "" {
		r.trace = s.trace(len(s.hashes) - 1)
		return
	}
	s.next = append(s.next, *w)
}

// add puts a hash into the table and reports whether it is new.
func (s *search) add(h uint64, parent uint32) bool {
	mask := uint64(len(s.index) - 1)
	at := h & mask
	for ; s.index[at] != 0; at = (at + 1) & mask {
		if s.hashes[s.index[at]-1] == h {
			return false
		}
	}
	s.hashes, s.parents = append(s.hashes, h), append(s.parents, parent)
	s.index[at] = uint32(len(s.hashes))
	if len(s.hashes) > len(s.index)/2 {
		s.grow()
	}
	return true
}

func (s *search) grow() {
	s.index = make([]uint32, 2*len(s.index))
	mask := uint64(len(s.index) - 1)
	for i, h := range s.hashes {
		at := h & mask
		for s.index[at] != 0 {
			at = (at + 1) & mask
		}
		s.index[at] = uint32(i + 1)
	}
}

// trace goes the way to world number i again, and says what happens on it.
func (s *search) trace(i int) []string {
	var way []uint64
	for ; i != 0; i = int(s.parents[i]) {
		way = append(way, s.hashes[i])
	}
	slices.Reverse(way)
	w := s.begin()
	lines := []string{" 0. " + w.String()}
	for n, h := range way {
		var after world
		text := ""
		s.expand(&w, func(st step, found *world) {
			if text == "" && found.hash() == h {
				text, after = st.String(), *found
			}
		})
		w = after
		lines = append(lines, fmt.Sprintf("%2d. %-58s | %v", n+1, text, &w))
	}
	return lines
}

// begin is the world in which the scenario starts.
func (c *check) begin() world {
	var w world
	for b := Boot(1); b <= boots; b++ {
		if has(c.start, b) {
			*w.at(b) = node{life: alive, members: c.start}
		}
	}
	if c.holder != 0 {
		w.at(c.holder).state = Hold
	}
	return w
}

func (r result) String() string {
	return r.fault + "\n" + strings.Join(r.trace, "\n")
}
