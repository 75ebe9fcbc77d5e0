package bucket

import (
	"sync"
	"sync/atomic"
	"unsafe"
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
	limits *numbering
	sweep  sweep
}

type shard struct {
	mu    sync.Mutex
	table table
	_     [64 - (unsafe.Sizeof(sync.Mutex{})+unsafe.Sizeof(table{}))%64]byte // cache lines of its own
}

// NewStore makes an empty store.
func NewStore(c StoreConfig) *Store {
	if c.MaxLimits <= 0 {
		c.MaxLimits = defaultMaxLimits
	}
	s := &Store{key: c.DigestKey, epoch: c.Epoch, limits: newNumbering(min(c.MaxLimits, logBit-1))}
	for i := range s.shards {
		s.shards[i].table.track = c.Track
	}
	return s
}

// Digest returns the identity of key under rule in this store.
func (s *Store) Digest(rule *Rule, key string) Digest { return s.key.Digest(rule, key) }

// Take decides whether n tokens may be taken from key under every limit of the
// rule, and if so takes them. n must be at least 0; 0 takes nothing. It never
// allocates for a key that is there.
func (s *Store) Take(rule *Rule, key string, n, now int64) Decision {
	return rule.Decision(s.TakeDigest(rule, s.Digest(rule, key), n, now))
}

// TakeDigest is Take for a key that was digested elsewhere. A negative n is
// refused for ever.
func (s *Store) TakeDigest(rule *Rule, d Digest, n, now int64) Verdict {
	v, _ := s.take(rule.terms, d, n, now, nil)
	return v
}

// TakeHeld is TakeDigest on the condition that held is true. ok says whether it
// was. The condition is looked at under the lock that Copy takes as well: what is
// taken is in every copy made after held has become false.
func (s *Store) TakeHeld(held *atomic.Bool, rule *Rule, d Digest, n, now int64) (v Verdict, ok bool) {
	return s.take(rule.terms, d, n, now, held)
}

// TakeShare is TakeDigest by a limit divided among that many replicas: its
// Count and Burst, but never less than one token.
func (s *Store) TakeShare(rule *Rule, d Digest, n, now int64, replicas int) Verdict {
	var space [MaxLimits]term
	terms := space[:len(rule.terms)]
	for i := range terms {
		terms[i] = rule.terms[i].share(replicas)
	}
	v, _ := s.take(terms, d, n, now, nil)
	return v
}

func (s *Store) take(terms []term, d Digest, n, now int64, held *atomic.Bool) (v Verdict, ok bool) {
	if n < 0 {
		return Verdict{RetryAfter: Never}, true
	}
	sh := s.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if held != nil && !held.Load() {
		return Verdict{}, false
	}

	m := moment{now, satAdd(s.epoch, now)}
	var space [MaxLimits]account
	accounts := space[:len(terms)]
	for i := range terms {
		s.open(&accounts[i], &sh.table, &terms[i], d, m)
	}
	v = settle(terms, accounts, uint64(n), m)
	if v.Allowed && n > 0 && !s.close(accounts, &sh.table, terms, d, now) {
		return Verdict{Degraded: true, RetryAfter: fullRetry}, true
	}
	return v, true
}

// Len returns the number of entries: one for each limit of each live key, and
// for those full ones that haven't been swept yet.
func (s *Store) Len() int {
	n := 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.table.used
		sh.mu.Unlock()
	}
	return n
}

func (s *Store) shard(d Digest) *shard {
	return &s.shards[d.Hi>>(64-partitionBits)%shardCount]
}
