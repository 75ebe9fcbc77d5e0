package bucket_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
)

// crowd is many keys of one partition, and the stores of replicas that have too little
// memory for them. One of them at a time decides.
type crowd struct {
	rule     *bucket.Rule
	stores   []*bucket.Store
	holder   int
	now      int64
	admitted map[int][]hit
}

const crowdPartition = 5

// smallest is a store that holds that many entries in each of its 256 shards, and a
// few that are shared.
func smallest(entries int) *bucket.Store {
	return bucket.NewStore(bucket.StoreConfig{MaxBytes: 256 * (60*entries + 200)})
}

func drawCrowd(t *rapid.T) *crowd {
	limits := make([]bucket.Limit, rapid.IntRange(1, 2).Draw(t, "limits"))
	for i := range limits {
		limits[i] = bucket.Limit{
			Name:      string(rune('a' + i)),
			Algorithm: rapid.SampledFrom(algorithms[:]).Draw(t, "algorithm"),
			Count:     rapid.Int64Range(1, 5).Draw(t, "count"),
			Per:       time.Duration(rapid.Int64Range(1, 10).Draw(t, "per")),
		}
		if a := limits[i].Algorithm; a == bucket.FixedWindow || a == bucket.SlidingWindow {
			limits[i].Aligned = rapid.Bool().Draw(t, "aligned")
		}
	}
	c := &crowd{rule: newRule(t, "r", limits...), admitted: map[int][]hit{}, now: 1000}
	for range rapid.IntRange(1, 3).Draw(t, "replicas") {
		c.stores = append(c.stores, smallest(rapid.IntRange(4, 12).Draw(t, "entries")))
	}
	return c
}

func (c *crowd) digest(key int) bucket.Digest {
	return bucket.Digest{Hi: crowdPartition<<52 | uint64(key), Lo: uint64(key) * 0x9e3779b97f4a7c15}
}

func (c *crowd) take(t *rapid.T) {
	key, n := rapid.IntRange(1, 40).Draw(t, "key"), rapid.Int64Range(0, 3).Draw(t, "n")
	store, d := c.stores[c.holder], c.digest(key)
	told := store.PeekDigest(c.rule, d, n, c.now)
	v := store.TakeDigest(c.rule, d, n, c.now)
	if len(c.stores) == 1 && !v.Degraded && (v.Allowed != told.Allowed || v.RetryAfter != told.RetryAfter) {
		t.Fatalf("key %d: peeked %+v, took %+v", key, told, v)
	}
	if v.Allowed {
		c.admitted[key] = append(c.admitted[key], hit{c.now, n})
	}
}

// copyTo gives another store all that the holder knows.
func (c *crowd) copyTo(t *rapid.T, to int) {
	if to == c.holder {
		return
	}
	b, _ := c.stores[c.holder].AppendCopy(nil, crowdPartition, c.now)
	if err := c.stores[to].Merge(crowdPartition, b, c.now); err != nil {
		t.Fatalf("%v", err)
	}
}

func (c *crowd) other(t *rapid.T) int { return rapid.IntRange(0, len(c.stores)-1).Draw(t, "other") }

func (c *crowd) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"take": c.take,
		"flood": func(t *rapid.T) {
			for range 30 {
				c.take(t)
			}
		},
		"wait":  func(t *rapid.T) { c.now += rapid.Int64Range(0, 12).Draw(t, "gap") },
		"sweep": func(t *rapid.T) { c.stores[c.other(t)].Sweep(c.now, 1<<20) },
		"copy":  func(t *rapid.T) { c.copyTo(t, c.other(t)) },
		"drop": func(t *rapid.T) {
			if other := c.other(t); other != c.holder {
				c.stores[other].Drop(crowdPartition)
			}
		},
		"hand off": func(t *rapid.T) {
			to := c.other(t)
			c.copyTo(t, to)
			c.holder = to
		},
	}
}

// However many keys share, and wherever their partition goes, none is admitted more
// than its limits say, and while
// it stays Peek says what Take does.
func TestNobodyWhoSharesIsAdmittedTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t)
		t.Repeat(c.actions())
		for _, hits := range c.admitted {
			for _, l := range c.rule.Limits() {
				checkEveryInterval(t, l, hits)
				checkWindows(t, l, hits)
			}
		}
	})
}

// checkWindows wants at most two windows' worth within less than a window: what the
// end of one and the beginning of the next can give.
func checkWindows(t tester, l bucket.Limit, hits []hit) {
	t.Helper()
	if l.Algorithm != bucket.FixedWindow && l.Algorithm != bucket.SlidingWindow {
		return
	}
	for i, first := range hits {
		sum := int64(0)
		for _, h := range hits[i:] {
			if sum += h.n; h.at-first.at < int64(l.Per) && sum > 2*l.Count {
				t.Fatalf("%+v admitted too much from hit %d of %v", l, i, hits)
			}
		}
	}
}

// While strangers come by the thousand, whoever has an entry is decided as if they
// didn't, and a key at its limit gets nothing.
func TestStrangersChangeNothingForLiveKeys(t *testing.T) {
	for _, words := range []string{"", " leaky", " fixed", " sliding", " log"} {
		entries := 20
		if words == " log" {
			entries = 80 // their logs take memory as well
		}
		small, large := smallest(entries), newStore()
		rule := bucket.MustRule("r", "5/hour"+words)
		now := int64(1)
		for stranger := range 20_000 {
			if stranger%4 == 0 {
				key := fmt.Sprint("regular ", stranger/4%100)
				if got, want := bare(small.Take(rule, key, 1, now)), bare(large.Take(rule, key, 1, now)); got != want {
					t.Fatalf("%q, %s: %+v, want %+v", words, key, got, want)
				}
			}
			if stranger > 400 {
				small.Take(rule, fmt.Sprint("stranger ", stranger), 1, now)
			}
			now += 1000
		}
		s := small.Stats()
		if s.Bytes > s.MaxBytes+256*16*60 || s.Overflow == 0 || s.Overflowed == 0 || s.Dropped > 0 {
			t.Errorf("%q: %+v", words, s)
		}
	}
}

// One rule's keys leave room for another's.
func TestOneRuleLeavesRoomForOthers(t *testing.T) {
	store := bucket.NewStore(bucket.StoreConfig{MaxBytes: 4 << 20})
	greedy, modest := bucket.MustRule("greedy", "5/hour"), bucket.MustRule("modest", "5/hour")
	for i := range 200_000 {
		store.Take(greedy, fmt.Sprint(i), 1, 0)
	}
	before := store.Stats()
	for i := range 3000 {
		store.Take(modest, fmt.Sprint(i), 5, 0)
	}
	after := store.Stats()
	if own := after.Entries - before.Entries; own < 3000*95/100 || after.Overflowed-before.Overflowed > 3000*5/100 {
		t.Errorf("of 3000 keys of another rule %d have an entry: %+v", own, after)
	}
	if before.Entries < 70_000 || before.Bytes > before.MaxBytes {
		t.Errorf("the greedy rule alone: %+v", before)
	}
}
