package cluster

import (
	"math"
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
// any time.
type hotKeys struct {
	slots [hotSlots]atomic.Pointer[hotKey]
	used  atomic.Int64
	// reset is when a key was last reset here: what was asked before says nothing of
	// after.
	reset atomic.Int64
	seq   atomic.Uint64 // of the last statement about any key
	id    uint32        // of receipts of what was spent from leases

	wake    chan struct{}      // of capacity 1: the first key has come
	low     chan *hotKey       // keys of which more tokens are to be asked for
	returns chan transport.Hit // tokens to be given back of keys that lost their place

	refunded names // rules of which hits are refunded: a refusal doesn't last, and nothing is leased

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
	if k := t.find(d); k.under(rule) {
		return k
	}
	k := newHotKey(d, rule)
	if t.closed {
		return k
	}
	former := t.slots[t.place(d)].Swap(k)
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
// lease. t.mu is held.
func (t *hotKeys) place(d bucket.Digest) uint64 {
	i := d.Lo % hotSlots
	one, other := t.slots[i].Load(), t.slots[i^1].Load()
	switch {
	case one == nil || one.digest == d:
		return i
	case other == nil || other.digest == d:
		return i ^ 1
	case one.lease.Load() != nil && other.lease.Load() == nil:
		return i ^ 1
	}
	return i
}

// remove takes a key's place from it.
func (t *hotKeys) remove(i int, k *hotKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[i].CompareAndSwap(k, nil) {
		t.used.Add(-1)
	}
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
	l.ended = true
	if back := l.tokens.Swap(0); back > 0 {
		select {
		case t.returns <- transport.Hit{Digest: k.digest, Rule: rule, Statement: transport.Statement{Seq: t.seq.Add(1), Back: back}}:
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
		k := t.slots[i].Swap(nil)
		if k == nil {
			continue
		}
		t.used.Add(-1)
		if l := k.lease.Load(); l != nil {
			k.mu.Lock()
			l.ended = true
			returns = append(returns, transport.Hit{Digest: k.digest, Rule: k.rule, Statement: transport.Statement{Seq: t.seq.Add(1), Back: l.tokens.Swap(0)}})
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
// verdict to v. If not, the hit takes along what the holder should hear.
func (t *hotKeys) decide(h *transport.Hit, now int64, v *bucket.Verdict) (by Path, ok bool) {
	if t.used.Load() == 0 || h.Tokens == 0 || h.Peek {
		return 0, false
	}
	k := t.find(h.Digest)
	if k == nil {
		return 0, false
	}
	if !k.under(h.Rule) { // and by other numbers what was taken may come back sooner
		t.change(k, h.Rule)
		return 0, false
	}
	l := k.lease.Load()
	if l != nil && t.spend(k, l, h, now, v) {
		return PathLeased, true
	}
	if k.refuses(h.Tokens, now, v) || l != nil && l.refuses(h.Tokens, now, v) {
		if l != nil {
			l.miss(h.Tokens)
		}
		return PathDenied, true
	}
	if l != nil {
		l.miss(h.Tokens)
		t.ask(k, l, h, now)
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
	plain := int(v.Limit) < len(k.limits) // else a penalty refuses, which costs nothing
	if k.penal && plain {
		k.refusals.Add(1)
	}
	switch {
	case n > k.most:
		v.RetryAfter = bucket.Never
	case more > 0 && plain:
		v.RetryAfter = rest(satAdd(int64(v.RetryAfter), int64(longer(&k.limits[v.Limit], more))), 0)
	}
	return true
}

// change forgets a key as other numbers have come. What was lent of it is given back.
func (t *hotKeys) change(k *hotKey, rule *bucket.Rule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := k.digest.Lo % hotSlots
	if t.slots[i].CompareAndSwap(k, nil) || t.slots[i^1].CompareAndSwap(k, nil) {
		t.used.Add(-1)
		t.retire(k, rule)
	}
}

// hear notes what the holder has answered to a hit that was asked at asked.
func (t *hotKeys) hear(h *transport.Hit, a *transport.Answer, asked, now int64) {
	v := &a.Verdict
	if v.Degraded {
		return
	}
	if a.Hot || h.Statement.Seq != 0 {
		t.hearLease(h, a, now)
	}
	switch {
	case h.Tokens == 0 || asked <= t.reset.Load():
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

// forget forgets what has been refused of a key that is reset. What was lent of it
// goes on: its holder still has it for lent.
func (t *hotKeys) forget(d bucket.Digest, now int64) {
	t.reset.Store(now)
	k := t.find(d)
	if k == nil {
		return
	}
	k.refusals.Store(0)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denial.clear(math.MaxInt64)
	if l := k.lease.Load(); l != nil {
		l.scarce.Store(false)
		l.next.Store(0)
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
			k.end()
		}
	}
}
