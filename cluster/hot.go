package cluster

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// hotSlots is how many keys are known here that are held elsewhere: refused ones,
// and those of which this replica has a lease. A power of two.
const hotSlots = 4096

// hotKeys is what is known here of keys besides the buckets: what their holders have
// refused or lent. It has a bounded number of places, two for each key, and what finds
// none takes that of another, which is asked about again: so it may forget anything at
// any time.
type hotKeys struct {
	slots [hotSlots]atomic.Pointer[hotKey]
	used  atomic.Int64
	// reset is when a key was last reset here: what was asked before says nothing of
	// after.
	reset atomic.Int64
	wake  chan struct{} // of capacity 1: the first key has come

	refunded names // rules of which hits are refunded: a refusal doesn't last

	mu sync.Mutex // held to change slots; never while hotKey.mu is
}

// hotKey is what is known of one key under one rule's numbers. Deciding by it takes no
// lock and allocates nothing.
type hotKey struct {
	digest bucket.Digest
	rule   *bucket.Rule
	limits []bucket.Limit // of the rule, without its penalties
	penal  bool           // it has some
	most   int64          // tokens that a hit may cost
	denial denial

	mu       sync.Mutex // held to write denial
	reported int64      // when the holder was last told of refusals; the sweep's alone

	_        [64]byte     // what follows is written by each refusal
	refusals atomic.Int64 // that the penalties at the holder don't know of yet
}

func newHotKeys() *hotKeys { return &hotKeys{wake: make(chan struct{}, 1)} }

func newHotKey(d bucket.Digest, rule *bucket.Rule) *hotKey {
	return &hotKey{digest: d, rule: rule, limits: rule.Limits(), penal: len(rule.Penalties()) > 0, most: rule.Capacity()}
}

// find returns what is known of a key, or nil.
func (t *hotKeys) find(d bucket.Digest) *hotKey {
	i := d.Lo % hotSlots
	if k := t.slots[i].Load(); k != nil && k.digest == d {
		return k
	}
	if k := t.slots[i^1].Load(); k != nil && k.digest == d {
		return k
	}
	return nil
}

// of is find, and makes a place for the key if it has none under these numbers.
func (t *hotKeys) of(d bucket.Digest, rule *bucket.Rule) *hotKey {
	if k := t.find(d); k.under(rule) {
		return k
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := d.Lo % hotSlots
	place := i
	for _, j := range [...]uint64{i, i ^ 1} {
		k := t.slots[j].Load()
		if k != nil && k.digest == d {
			if k.under(rule) {
				return k
			}
			place = j
			break
		}
		if k == nil && t.slots[place].Load() != nil {
			place = j
		}
	}
	k := newHotKey(d, rule)
	if t.slots[place].Swap(k) == nil && t.used.Add(1) == 1 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
	return k
}

// remove takes a key's place from it.
func (t *hotKeys) remove(i int, k *hotKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[i].CompareAndSwap(k, nil) {
		t.used.Add(-1)
	}
}

// under reports whether the key is known under the numbers of that rule.
func (k *hotKey) under(rule *bucket.Rule) bool {
	return k != nil && (k.rule == rule || k.rule.Equivalent(rule))
}

// decide decides a hit by what is known of its key, if that is enough, and writes the
// verdict to v. If not, the hit takes along what the holder should hear.
func (t *hotKeys) decide(h *transport.Hit, now int64, v *bucket.Verdict) (by path, ok bool) {
	if t.used.Load() == 0 || h.Tokens == 0 || h.Peek {
		return 0, false
	}
	k := t.find(h.Digest)
	if k == nil {
		return 0, false
	}
	if !k.under(h.Rule) { // and by other numbers what was taken may come back sooner
		t.forgive(h.Digest, math.MaxInt64)
		return 0, false
	}
	if k.refuses(h.Tokens, now, v) {
		return byDenial, true
	}
	if k.penal && k.refusals.Load() > 0 {
		h.Refused = k.refusals.Swap(0)
	}
	return 0, false
}

// refuses is denial's, and counts what the penalties have to know.
func (k *hotKey) refuses(n, now int64, v *bucket.Verdict) bool {
	more, refused := k.denial.refuses(n, now, v)
	if !refused {
		return false
	}
	plain := int(v.Limit) < len(k.limits) // else a penalty refuses, which that costs nothing
	if k.penal && plain {
		k.refusals.Add(1)
	}
	switch {
	case n > k.most:
		v.RetryAfter = bucket.Never
	case more > 0 && plain:
		v.RetryAfter = time.Duration(after(int64(v.RetryAfter), longer(&k.limits[v.Limit], more)))
	}
	return true
}

// hear notes what the holder has answered to a hit that was asked at asked.
func (t *hotKeys) hear(h *transport.Hit, a *transport.Answer, asked, now int64) {
	v := &a.Verdict
	switch {
	case v.Degraded || h.Tokens == 0 || asked <= t.reset.Load():
	case v.Allowed:
		if t.used.Load() > 0 {
			t.forgive(h.Digest, h.Tokens)
		}
	case !h.Peek:
		most := denialCap
		if t.refunded.has(h.Rule.Name()) {
			most = refundedCap
		}
		if asked+int64(min(v.RetryAfter, most)) <= now {
			return
		}
		k := t.of(h.Digest, h.Rule)
		if k.penal {
			return // refusals can't be reported yet
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.denial.note(h.Tokens, asked, now, v, most)
	}
}

// forgive refuses n tokens of a key no more by what is known here.
func (t *hotKeys) forgive(d bucket.Digest, n int64) {
	if k := t.find(d); k != nil && k.denial.until.Load() != 0 {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.denial.clear(n)
	}
}

// forget forgets what has been refused of a key that is reset.
func (t *hotKeys) forget(d bucket.Digest, now int64) {
	t.reset.Store(now)
	if k := t.find(d); k != nil {
		k.refusals.Store(0)
		t.forgive(d, math.MaxInt64)
	}
}

// takeBack has refusals of a key told again that its holder has certainly not heard.
func (t *hotKeys) takeBack(h *transport.Hit) {
	if k := t.find(h.Digest); h.Refused > 0 && k.under(h.Rule) {
		k.refusals.Add(h.Refused)
	}
}

// refund notes that a hit of a rule is given back: others may be, and refusals of the
// rule's keys can't be relied on for long.
func (t *hotKeys) refund(d bucket.Digest, rule *bucket.Rule) {
	if !t.refunded.add(rule.Name()) {
		t.forgive(d, math.MaxInt64)
		return
	}
	for i := range t.slots {
		if k := t.slots[i].Load(); k != nil && k.rule.Name() == rule.Name() {
			t.forgive(k.digest, math.MaxInt64)
		}
	}
}

// names is a set of names that are read often and added hardly ever. It forgets all
// when there are too many.
type names struct {
	mu   sync.Mutex
	sets atomic.Pointer[map[string]bool]
}

const mostNames = 1000

func (s *names) has(name string) bool {
	set := s.sets.Load()
	return set != nil && (*set)[name]
}

// add reports whether the name is new.
func (s *names) add(name string) bool {
	if s.has(name) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string]bool{name: true}
	if set := s.sets.Load(); set != nil && len(*set) < mostNames {
		maps.Copy(next, *set)
	}
	s.sets.Store(&next)
	return true
}
