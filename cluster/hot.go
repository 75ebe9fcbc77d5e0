package cluster

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

const (
	// hotSlots is how many keys are known here that are held elsewhere: refused ones,
	// and those of which this replica has a lease. A power of two.
	hotSlots = 4096
	// mostLow and mostReturns bound what waits to be told to holders. What finds no room
	// is lost: such tokens come back to the holder when their lease ends.
	mostLow, mostReturns = 256, 64
)

// hotKeys is what is known here of keys besides the buckets: what their holders have
// refused or lent. It has a bounded number of places, two for each key, and what finds
// none takes that of another, which is asked about again: so it may forget anything at
// any time. But a key that is leased keeps its place as long as it is asked for: were
// there more of them than places, to lend and to give back would be all they do.
type hotKeys struct {
	slots [hotSlots]atomic.Pointer[hotKey]
	// marks has a bit for each two slots of a key that aren't both empty. It is small
	// enough to stay in the processor's nearest cache, which the slots aren't: nearly
	// every hit that is decided elsewhere is of a key which isn't known.
	marks [hotSlots / 2 / 64]atomic.Uint64
	used  atomic.Int64
	// reset is when a key was last reset here: what was asked before says nothing of
	// after.
	reset atomic.Int64
	seq   atomic.Uint64 // of the last statement about any key
	id    uint32        // of receipts of what was spent from leases

	wake    chan struct{}      // of capacity 1: the first key has come
	low     chan *hotKey       // keys of which more tokens are to be asked for
	returns chan transport.Hit // tokens to be given back of keys that lost their place

	refunded names // rules of which hits were refunded of late: nothing is leased
	returned names // rules of which tokens came back of late, so or by TakeAll: a refusal doesn't last

	mu     sync.Mutex // held to change slots; before any hotKey.mu
	closed bool       // there are no keys any more
}

// hotKey is what is known of one key under one rule's numbers. Deciding by it takes no
// lock and allocates nothing.
type hotKey struct {
	digest bucket.Digest
	rule   *bucket.Rule
	limits []bucket.Limit // of the rule, without its penalties
	penal  bool           // it has some
	alike  bool           // how long a hit has to wait tells how long one does that costs more
	most   int64          // tokens that a hit may cost
	denial denial
	lease  atomic.Pointer[lease] // nil if there is none

	mu       sync.Mutex // held to write denial, and what a lease says it is for
	reported int64      // when the holder was last told of refusals; the sweep's alone

	_        [64]byte     // what follows is written by each refusal
	refusals atomic.Int64 // that the penalties at the holder don't know of yet
}

func newHotKeys() *hotKeys {
	return &hotKeys{
		id:   rand.Uint32(),
		wake: make(chan struct{}, 1), low: make(chan *hotKey, mostLow), returns: make(chan transport.Hit, mostReturns),
	}
}

func newHotKey(d bucket.Digest, rule *bucket.Rule) *hotKey {
	limits := rule.Limits()
	return &hotKey{
		digest: d, rule: rule, limits: limits, penal: len(rule.Penalties()) > 0, most: rule.Capacity(),
		alike: len(limits) == 1 && tells(&limits[0]),
	}
}

// find returns what is known of a key, or nil.
func (t *hotKeys) find(d bucket.Digest) *hotKey {
	i := d.Lo % hotSlots
	if !bit(t.marks[:], i/2) {
		return nil
	}
	if k := t.slots[i].Load(); k != nil && k.digest == d {
		return k
	}
	if k := t.slots[i^1].Load(); k != nil && k.digest == d {
		return k
	}
	return nil
}

// of is find, and makes a place for the key if it has none under these numbers. It is
// nil if there is no place.
func (t *hotKeys) of(d bucket.Digest, rule *bucket.Rule) *hotKey {
	if k := t.find(d); k.under(rule) {
		return k
	}
	if _, ok := t.place(d); !ok {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.find(d); k.under(rule) {
		return k
	}
	i, ok := t.place(d)
	if !ok || t.closed {
		return nil
	}
	k := newHotKey(d, rule)
	former := t.slots[i].Swap(k)
	t.mark(i)
	switch {
	case former == nil:
		t.grow()
	case former.digest == d:
		t.retire(former, rule)
	default:
		t.retire(former, former.rule)
	}
	return k
}

// mark notes whether the two slots of a key are both empty. t.mu is held.
func (t *hotKeys) mark(i uint64) {
	setBit(t.marks[:], i/2, t.slots[i].Load() != nil || t.slots[i^1].Load() != nil)
}

// grow counts one more key, and wakes who looks after them. t.mu is held.
func (t *hotKeys) grow() {
	if t.used.Add(1) == 1 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// place is which slot a key gets: its own, an empty one, or that of a key which has no
// lease. ok is false if there is none.
func (t *hotKeys) place(d bucket.Digest) (i uint64, ok bool) {
	i = d.Lo % hotSlots
	one, other := t.slots[i].Load(), t.slots[i^1].Load()
	switch {
	case one != nil && one.digest == d:
		return i, true
	case other != nil && other.digest == d:
		return i ^ 1, true
	case one == nil:
		return i, true
	case other == nil:
		return i ^ 1, true
	case one.lease.Load() == nil:
		return i, true
	}
	return i ^ 1, other.lease.Load() == nil
}

// remove takes a key's place from it.
func (t *hotKeys) remove(i int, k *hotKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.vacate(uint64(i), k)
}

// vacate empties a slot, if the key is in it. t.mu is held.
func (t *hotKeys) vacate(i uint64, k *hotKey) bool {
	if !t.slots[i].CompareAndSwap(k, nil) {
		return false
	}
	t.mark(i)
	t.used.Add(-1)
	return true
}

// retire has what was lent of a key that has lost its place given back, under the
// numbers that its holder will hear next. The statement is older than any that is made
// of the key after this: if that comes first the holder doesn't believe this one.
func (t *hotKeys) retire(k *hotKey, rule *bucket.Rule) {
	l := k.lease.Load()
	if l == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := l.end(t.seq.Add(1)); last.Back > 0 {
		select {
		case t.returns <- transport.Hit{Digest: k.digest, Rule: rule, Statement: last}:
		default:
		}
	}
}

// close forgets everything, and returns what is to be given back.
func (t *hotKeys) close() (returns []transport.Hit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for i := range t.slots {
		k := t.slots[i].Load()
		if k == nil {
			continue
		}
		t.vacate(uint64(i), k)
		if l := k.lease.Load(); l != nil {
			k.mu.Lock()
			returns = append(returns, transport.Hit{Digest: k.digest, Rule: k.rule, Statement: l.end(t.seq.Add(1))})
			k.mu.Unlock()
		}
	}
	return returns
}

// under reports whether the key is known under the numbers of that rule.
func (k *hotKey) under(rule *bucket.Rule) bool {
	return k != nil && (k.rule == rule || k.rule.Equivalent(rule))
}

// decide decides a hit by what is known of its key, if that is enough, and writes the
// verdict to v.
func (t *hotKeys) decide(k *hotKey, q *question, now int64, v *bucket.Verdict) (by Path, ok bool) {
	if q.tokens == 0 || q.how == peeking {
		return 0, false
	}
	if !k.under(q.rule) { // and by other numbers what was taken may come back sooner
		t.change(k, q.rule)
		return 0, false
	}
	l := k.lease.Load()
	if q.how == together {
		l = nil
	}
	if l != nil && t.spend(k, l, q.rule, q.tokens, now, v) {
		return PathLeased, true
	}
	if k.refuses(q.tokens, now, v) || l != nil && l.refuses(q.tokens, now, v) {
		if l != nil {
			l.miss(q.tokens)
		}
		return PathDenied, true
	}
	return 0, false
}

// brief has a hit that isn't decided by what is known of its key take along what the
// holder should hear. k is what is known, or nil.
func (t *hotKeys) brief(k *hotKey, h *transport.Hit, now int64) {
	if !k.under(h.Rule) || h.Tokens == 0 || h.Peek {
		return
	}
	if l := k.lease.Load(); l != nil && !h.Whole {
		l.miss(h.Tokens)
		t.ask(k, l, h, now)
	}
	if k.penal && k.refusals.Load() > 0 {
		h.Refused = k.refusals.Swap(0)
	}
}

// change forgets a key as other numbers have come. What was lent of it is given back.
func (t *hotKeys) change(k *hotKey, rule *bucket.Rule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := k.digest.Lo % hotSlots
	if t.vacate(i, k) || t.vacate(i^1, k) {
		t.retire(k, rule)
	}
}
