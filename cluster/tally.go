package cluster

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	// maxRules is how many rules are counted each for itself, by their names and in the
	// order in which they were first used; the others together.
	maxRules   = 128
	ruleSlots  = 2 * maxRules
	stripeBits = 4
)

// tally counts decisions, by rule. A decision finds its rule's counts without a lock,
// in a table that only grows, and adds 1 to one of them: 6 ns, or 1 under a lock that it
// holds anyway.
type tally struct {
	slots [ruleSlots]atomic.Pointer[ruleTally] // open addressing by the name's hash
	other ruleTally

	mu   sync.Mutex   // for whoever adds a rule
	used atomic.Int32 // written under it
}

// ruleTally is the counts of the rules of one name. They are striped, so that callers
// on different cores don't fight for a cache line.
type ruleTally struct {
	name    string
	first   *bucket.Rule // of that name: comparing it is quicker
	stripes [1 << stripeBits]stripe
	// local is of the commonest decisions, those by PathLocal in the mode Enforce, which
	// the store counts where it makes them.
	local bucket.Counts
}

// stripe is three cache lines.
type stripe [24]atomic.Int64

// count counts one decision.
func (t *tally) count(rule *bucket.Rule, p Path, o Outcome) {
	t.of(rule).stripes[stack()>>(64-stripeBits)][int(p)*int(outcomes)+int(o)].Add(1)
}

// stack is a number that differs between goroutines that run at the same time, most
// likely: made of where the caller's stack is.
func stack() uint64 {
	var here byte
	return uint64(uintptr(unsafe.Pointer(&here))) >> 10 * 0x9e3779b97f4a7c15
}

func (t *tally) of(rule *bucket.Rule) *ruleTally {
	full := t.used.Load() == maxRules // first: then whoever has counts is found below
	for i := rule.NameHash(); ; i++ {
		r := t.slots[i%ruleSlots].Load()
		switch {
		case r == nil && full:
			return &t.other
		case r == nil:
			return t.add(rule)
		}
		if r.first == rule || r.name == rule.Name() {
			return r
		}
	}
}

// add makes the counts of a rule that is new here, if there is room.
func (t *tally) add(rule *bucket.Rule) *ruleTally {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := rule.NameHash(); ; i++ {
		slot := &t.slots[i%ruleSlots]
		switch r := slot.Load(); {
		case r != nil && r.name == rule.Name():
			return r
		case r != nil:
		case t.used.Load() == maxRules:
			return &t.other
		default:
			r = &ruleTally{name: rule.Name(), first: rule}
			slot.Store(r)
			t.used.Add(1)
			return r
		}
	}
}

// decisions returns all counts that aren't 0, sorted by rule, path and outcome. The store
// is where the local ones were made.
func (t *tally) decisions(s *bucket.Store) []Decisions {
	all := t.other.decisions(nil, s)
	for i := range t.slots {
		if r := t.slots[i].Load(); r != nil {
			all = r.decisions(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Decisions) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Outcome, b.Outcome))
	})
	return all
}

func (r *ruleTally) decisions(all []Decisions, s *bucket.Store) []Decisions {
	var counted [paths][outcomes]int64
	counted[PathLocal][Allowed], counted[PathLocal][Refused] = s.Counted(&r.local)
	for p := range paths {
		for o := range outcomes {
			d := Decisions{Rule: r.name, Path: p, Outcome: o, Count: counted[p][o]}
			for i := range r.stripes {
				d.Count += r.stripes[i][int(p)*int(outcomes)+int(o)].Load()
			}
			if d.Count > 0 {
				all = append(all, d)
			}
		}
	}
	return all
}
