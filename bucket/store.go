package bucket

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// partitionBits of a digest's highest bits are its partition, as in
	// package ring; the low ones among these choose the shard, so that a
	// partition, and hence a rule's limits for a key, lie under one lock.
	partitionBits = 12
	shardBits     = 8
	shardCount    = 1 << shardBits

	defaultMaxLimits = 1 << 16
)

// StoreConfig is what a Store is made of. The zero value works.
type StoreConfig struct {
	// DigestKey is the secret of the key digests. The zero key is right only
	// where nobody who chooses keys is hostile.
	DigestKey DigestKey
	// Epoch is what a clock on the wall shows at the store's time 0, in
	// nanoseconds since 1970 UTC. Only windows that are Aligned or follow the Calendar
	// depend on it.
	Epoch int64
	// MaxLimits bounds the different limit numbers that live keys may have at
	// a time; 0 means 65536. Beyond it, hits that bring yet others are refused,
	// Degraded, until the sweep has freed some.
	MaxLimits int
	// MaxBytes bounds the memory of the tables and logs, in bytes; 0 means no bound.
	// An entry takes 40 to 60, one for each limit of each key; for a SlidingLog what
	// its longest log would take is set aside besides. When there is no room, and
	// nothing full to drop, new keys share overflow entries: they may be refused too
	// early, and nobody is admitted too much. The entries of one limit are at most 7/8
	// of all, those of two 7/15 each. What
	// is shared may take 1.5 MB besides, where the bound is below that. While a table
	// grows, 1/256 of the memory is there twice.
	MaxBytes int
	// ID tells this store's receipts from those of all others: they hold times of
	// its clock. Make it a random number wherever there is more than one store.
	ID uint32
	// Track keeps a list of the entries that were charged, for Changes. It must
	// be emptied again and again.
	Track bool
}

// Store holds the state of all keys under all rules. It is safe for concurrent
// use and does nothing by itself: time is what the caller says it is, and the
// memory of full buckets comes back when a table grows, or by Sweep.
//
// Times given to one Store must come from one clock. They needn't be quite in
// order: a hit that is d late, after others or a Sweep, may find what came back
// in d.
type Store struct {
	shards [shardCount]shard // first, for their alignment
	key    DigestKey
	epoch  int64
	id     uint32
	limits *numbering
	sweep  sweep
	// foreign says that an overflow entry has come from elsewhere, ever.
	foreign atomic.Bool
	lent    [shardCount]lent // by shard, and under its mutex
	leased  atomic.Int64     // how many keys are, in all
	changes changes
	offers  offers
	heat    heat // last: no pointers
}

// shard is one cache line, of which a hit needs nearly all.
type shard struct {
	mu    sync.Mutex
	table table
}

// NewStore makes an empty store.
func NewStore(c StoreConfig) *Store {
	if c.MaxLimits <= 0 {
		c.MaxLimits = defaultMaxLimits
	}
	s := &Store{key: c.DigestKey, epoch: c.Epoch, id: c.ID, limits: newNumbering(min(c.MaxLimits, logBit-1))}
	for i := range s.shards {
		s.shards[i].table.aside = &aside{limits: s.limits, budget: c.MaxBytes / shardCount}
		if c.Track {
			s.shards[i].table.changed = new([]Digest)
		}
	}
	return s
}

// Digest returns the identity of key under rule in this store.
func (s *Store) Digest(rule *Rule, key string) Digest { return s.key.digest(rule, key) }

// Take decides whether n tokens may be taken from key under every limit of the
// rule, and if so takes them. n must be at least 0; 0 takes nothing. It never
// allocates for a key that is there. A rule whose mode is Off isn't looked up.
func (s *Store) Take(rule *Rule, key string, n, now int64) (d Decision) {
	var v Verdict
	if rule.Mode() != Off {
		digest := s.Digest(rule, key)
		if s.TakeCommon(&d, nil, nil, rule, digest, n, now) {
			return d
		}
		s.take(&v, nil, &hit{rule.terms, rule.plain, rule.print, digest, n, now})
	}
	rule.Word(&d, &v)
	return d
}

// TakeDigest is Take for a key that was digested elsewhere, whatever the rule's
// mode. A negative n is refused for ever.
func (s *Store) TakeDigest(rule *Rule, d Digest, n, now int64) (v Verdict) {
	s.TakeHeld(&v, nil, rule, d, n, now)
	return v
}

// TakeHeld is TakeDigest on the condition that held isn't 0, unless it is nil, and writes its verdict
// to v, which must be zero. ok says whether held wasn't 0. The condition is looked at
// under the lock that AppendCopy takes as well: what is taken is in every copy made
// after held has become 0.
func (s *Store) TakeHeld(v *Verdict, held *atomic.Int64, rule *Rule, d Digest, n, now int64) (ok bool) {
	if rule.single && n >= 0 {
		return s.takeOne(v, held, rule, d, n, now)
	}
	return s.take(v, held, &hit{rule.terms, rule.plain, rule.print, d, n, now})
}

// TakeHeldShare is TakeHeld by a limit divided among that many replicas, as in
// TakeShare.
func (s *Store) TakeHeldShare(v *Verdict, held *atomic.Int64, rule *Rule, d Digest, n, now int64, replicas int) (ok bool) {
	var space [MaxLimits]term
	return s.take(v, held, &hit{rule.shares(space[:], replicas), rule.plain, rule.shareprint(replicas), d, n, now})
}

// TakeShare is TakeDigest by a limit divided among that many replicas: its
// Count and Burst, but never less than one token.
func (s *Store) TakeShare(rule *Rule, d Digest, n, now int64, replicas int) (v Verdict) {
	s.TakeHeldShare(&v, nil, rule, d, n, now, replicas)
	return v
}

// heldSince is the value of held: since when the state is here. ok says whether it isn't
// 0. Where there is no such condition, and held is nil, the state was always here.
func heldSince(held *atomic.Int64) (since int64, ok bool) {
	if held == nil {
		return 0, true
	}
	since = held.Load()
	return since, since != 0
}

// hit is what a store is asked to decide.
type hit struct {
	terms  []term
	plain  int    // that many of them are limits; penalties follow
	print  uint32 // of the terms, for the receipt
	digest Digest
	n, now int64
}

// take writes its verdict to v, which is zero before. ok says whether held, if
// there is such a condition, was true.
func (s *Store) take(v *Verdict, held *atomic.Int64, h *hit) (ok bool) {
	if h.n < 0 {
		v.RetryAfter = Never
		return true
	}
	sh := s.shard(h.digest)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && held.Load() == 0 {
		return false
	}
	s.decide(v, sh, h)
	return true
}

// decide writes its verdict to v, which is zero before, and reports whether it charged
// anything. sh.mu is held.
func (s *Store) decide(v *Verdict, sh *shard, h *hit) (charged bool) {
	m := moment{h.now, satAdd(s.epoch, h.now)}
	lease := s.lease(sh, h.digest, m) // it may move entries
	s.catchUp(&sh.table, h.terms, h.digest, h.now)
	room := lease != nil || s.room(&sh.table, h.terms, h.digest, h.now)
	var few [2]account // most rules need no more, and clearing more takes its time
	accounts := few[:min(len(h.terms), len(few))]
	if len(h.terms) > len(few) {
		var space [MaxLimits]account
		accounts = space[:len(h.terms)]
	}
	for i := range h.terms {
		s.open(&accounts[i], sh, &h.terms[i], h.digest, m)
	}
	if !room && slices.ContainsFunc(accounts, func(a account) bool { return a.entry == nil }) {
		sh.table.aside.overflowed++
	}
	if lease != nil {
		lease.lower(v, h, accounts, m)
	}
	from, to := settle(v, h.terms, h.plain, accounts, uint64(h.n), m)
	if h.n == 0 || from == to {
		return false
	}
	closed := s.close(accounts[from:to], &sh.table, h.terms[from:to], h.digest, h.now, room)
	switch {
	case !v.Allowed: // and what a penalty has no room for it doesn't count
	case closed:
		s.write(&v.Receipt, h, accounts)
	default:
		*v = Verdict{Degraded: true, RetryAfter: fullRetry}
	}
	return closed
}

// Len returns the number of entries: one for each limit of each live key, and
// for those full ones that haven't been swept yet.
func (s *Store) Len() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += int(sh.table.used)
		sh.mu.Unlock()
	}
	return n
}

func (s *Store) shard(d Digest) *shard { return &s.shards[shardOf(d)] }

func shardOf(d Digest) int { return int(d.Hi >> (64 - partitionBits) % shardCount) }
