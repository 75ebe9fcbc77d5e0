package cluster

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	// maxDenied bounds Config.DeniedKeys.
	maxDenied = 1000
	// maxKeyText is how many bytes of a key are kept for Denied.
	maxKeyText = 128
	// deniedHalf is how often the counts of the most denied keys are halved.
	deniedHalf = time.Minute
)

// DeniedKey is a key that this replica has refused often of late.
type DeniedKey struct {
	Rule string
	Key  string // its first 128 bytes
	// Refusals is about how many there were in the last two minutes or so: each counts
	// half as much after every minute. At most Error of them may be those of keys that
	// had this one's place before.
	Refusals, Error int64
}

// denied keeps the keys that were refused most: the Space-Saving algorithm (Metwally,
// Agrawal and El Abbadi 2005). Memory is bounded whatever the number of keys: a key
// that is new takes the place of the one with the fewest refusals, and its count. So
// no key with more than 1 in Config.DeniedKeys of all refusals is missed.
//
// Only a refusal costs anything, and one that finds the lock taken isn't counted: who
// is refused so often that this happens is found all the same.
type denied struct {
	size int // 0 keeps nothing

	mu     sync.Mutex
	places map[bucket.Digest]int // in heap
	heap   []refusals            // the fewest first
	halved int64                 // when
}

type refusals struct {
	digest       bucket.Digest
	rule, key    string
	count, error int64
}

// add counts a refusal at now.
func (d *denied) add(digest bucket.Digest, rule *bucket.Rule, key string, now int64) {
	if d.size == 0 || !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	d.halve(now)
	i, known := d.places[digest]
	switch {
	case known:
	case len(d.heap) < d.size:
		i = len(d.heap)
		d.heap = append(d.heap, refusals{})
		d.enter(i, digest, rule, key)
		d.rise(i)
		i = d.places[digest]
	default:
		i = 0
		delete(d.places, d.heap[0].digest)
		d.heap[0].error = d.heap[0].count
		d.enter(0, digest, rule, key)
	}
	d.heap[i].count++
	d.sink(i)
}

// enter gives a place to a key. The text is copied, as it may be a part of a larger one.
func (d *denied) enter(i int, digest bucket.Digest, rule *bucket.Rule, key string) {
	r := &d.heap[i]
	r.digest, r.rule, r.key = digest, rule.Name(), strings.Clone(key[:min(len(key), maxKeyText)])
	d.places[digest] = i
}

// halve has the past count less.
func (d *denied) halve(now int64) {
	if d.places == nil {
		d.places, d.halved = map[bucket.Digest]int{}, now
	}
	minutes := (now - d.halved) / int64(deniedHalf)
	if minutes <= 0 {
		return
	}
	d.halved += minutes * int64(deniedHalf)
	for i := range d.heap { // which keeps their order
		d.heap[i].count >>= min(minutes, 63)
		d.heap[i].error >>= min(minutes, 63)
	}
}

func (d *denied) rise(i int) {
	for parent := (i - 1) / 2; i > 0 && d.heap[i].count < d.heap[parent].count; parent = (i - 1) / 2 {
		d.swap(i, parent)
		i = parent
	}
}

func (d *denied) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(d.heap); child++ {
			if d.heap[child].count < d.heap[least].count {
				least = child
			}
		}
		if least == i {
			return
		}
		d.swap(i, least)
		i = least
	}
}

func (d *denied) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.places[d.heap[i].digest], d.places[d.heap[j].digest] = i, j
}

// list returns the keys, the most refused first.
func (d *denied) list(now int64) []DeniedKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halve(now)
	var keys []DeniedKey
	for _, r := range d.heap {
		if r.count > 0 {
			keys = append(keys, DeniedKey{Rule: r.rule, Key: r.key, Refusals: r.count, Error: r.error})
		}
	}
	slices.SortFunc(keys, func(a, b DeniedKey) int {
		return cmp.Or(-cmp.Compare(a.Refusals, b.Refusals), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	return keys
}

// Denied returns the keys that were refused most of late among those that were asked
// about on this replica, the most refused first; none unless Config.DeniedKeys says
// how many to keep. Keys may be personal data: no other replica, log or metric ever
// has their text. It is safe for concurrent use.
func (n *Node) Denied() []DeniedKey { return n.denied.list(n.now()) }
