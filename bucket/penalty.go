package bucket

import (
	"errors"
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"
)

// WithPenalty adds a penalty: a limit that counts refusals. Each hit that another
// limit of the rule refuses takes one token from it, whatever the hit would have
// cost, and when it has none left it refuses every hit until one is back. Hits
// that a penalty itself refuses take nothing, so the end comes by waiting.
// "5/second; penalty 20/hour fixed" is: after 20 refusals in an hour everything is
// refused for the rest of the hour.
//
// It may be given more than once. Penalties count towards MaxLimits, and a Count
// of 0 is an error, since nothing would ever pass. Like a limit, a penalty is known
// by its name, or its algorithm and place, so its numbers may change. A refund
// gives nothing back to it, a reset does.
func WithPenalty(l Limit) RuleOption {
	return func(r *Rule) error {
		r.limits = append(r.limits, l)
		return nil
	}
}

// Penalties returns a copy of the rule's penalties, in the order given.
func (r *Rule) Penalties() []Limit { return slices.Clone(r.limits[r.plain:]) }

// kind is what unnamed limits are told apart by, besides their place.
type kind struct {
	algorithm Algorithm
	penalty   bool
}

// check reports everything that is wrong with the limit, and looks up the time
// zone of its Calendar.
func (k kind) check(l Limit) (zone *time.Location, err error) {
	zone, err = l.location()
	if err = errors.Join(l.validate(), err); k.penalty && l.Count == 0 {
		err = errors.Join(err, errors.New("field Count is 0; a penalty of 0 would refuse everything, so give it at least 1"))
	}
	return zone, err
}

// identity is what tells the limit's state from those of the rule's others, and of
// other rules: the rule's name, and its own or else its algorithm and place. It is
// combined with a keyed digest and need not be secret.
func (k kind) identity(rule, name string, place int) uint64 {
	h := fnv.New64a()
	h.Write([]byte(rule))
	h.Write([]byte{0xff}) // in no UTF-8
	if k.penalty {
		h.Write([]byte{1}) // no name starts with 0 or 1
	}
	if name != "" {
		h.Write([]byte(name))
	} else {
		h.Write([]byte{0, byte(k.algorithm), byte(place)})
	}
	return h.Sum64()
}

// penalize is settle's part on penalties. It takes the place of the limit with
// the longest wait, -1 if they all agree, and returns the place that has it when
// penalties have been heard too, and those to write back. A hit that charges the
// last token of a penalty has to wait for it as well.
func penalize(terms []term, plain int, accounts []account, longest int, charge bool, m moment) (place, from, to int) {
	charge = charge && longest >= 0
	for i := plain; i < len(terms); i++ {
		a := &accounts[i]
		a.take(&terms[i], 1, m)
		charge = charge && a.wait == 0
	}
	place = longest
	for i := plain; i < len(terms); i++ {
		a := &accounts[i]
		if charge {
			a.state = a.next
			a.take(&terms[i], 1, m)
			a.next = a.state
		}
		if a.wait > 0 && (place < 0 || a.wait > accounts[place].wait) {
			place = i
		}
	}
	if !charge {
		return place, 0, 0
	}
	return place, plain, len(terms)
}

// Penalize charges the rule's penalties with refusals that were decided without
// the store: by a replica that had been told to refuse. Of more than a penalty has
// left, the rest isn't counted. It is on the condition that held isn't 0, unless
// that is nil; ok says whether it wasn't.
func (s *Store) Penalize(held *atomic.Int64, rule *Rule, d Digest, refusals, now int64) (ok bool) {
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	m := moment{now, satAdd(s.epoch, now)}
	s.catchUp(&sh.table, rule.terms, d, now)
	room := s.room(&sh.table, rule.terms, d, now)
	for i := rule.plain; i < len(rule.terms); i++ {
		var a [1]account
		t := &rule.terms[i]
		s.open(&a[0], sh, t, d, m)
		left, _ := t.left(a[0].state, now)
		if n := min(refusals, left); n > 0 {
			a[0].next, _ = t.take(a[0].state, uint64(n), m)
			s.close(a[:], &sh.table, rule.terms[i:i+1], d, now, room)
		}
	}
	return true
}
