package bucket

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sized is a rule named "r" of one limit an hour for each count, "a", "b" and so on.
func sized(counts ...int64) *Rule {
	limits := make([]Limit, len(counts))
	for i, count := range counts {
		limits[i] = Limit{Name: string(rune('a' + i)), Count: count, Per: time.Hour}
	}
	r, err := NewRule("r", limits)
	if err != nil {
		panic(err)
	}
	return r
}

func wantAnswer(t *testing.T, what string, d Decision, allowed, degraded bool) {
	t.Helper()
	if d.Allowed != allowed || d.Degraded != degraded {
		t.Errorf("%s: got %+v, want allowed %t, degraded %t", what, d, allowed, degraded)
	}
	if degraded && d.RetryAfter != time.Second {
		t.Errorf("%s: told to wait %v", what, d.RetryAfter)
	}
}

func TestTooManyNumbersAreRefused(t *testing.T) {
	s := NewStore(StoreConfig{MaxLimits: 3})
	hour := time.Hour.Nanoseconds()
	wantAnswer(t, "first", s.Take(sized(1), "1", 1, 0), true, false)
	wantAnswer(t, "second and third", s.Take(sized(2, 3), "2", 1, 0), true, false)
	wantAnswer(t, "fourth", s.Take(sized(4), "4", 1, 0), false, true)
	wantAnswer(t, "a known and a fifth", s.Take(sized(3, 5), "5", 1, 0), false, true)
	wantAnswer(t, "fourth, on an old key", s.Take(sized(2, 4), "2", 1, 0), false, true)
	if s.Len() != 3 {
		t.Errorf("what was refused left something: %d entries", s.Len())
	}
	wantAnswer(t, "fourth, taking nothing", s.Take(sized(4), "4", 0, 0), true, false)
	wantAnswer(t, "known ones, of another key", s.Take(sized(2, 3), "3", 1, 0), true, false)
	wantAnswer(t, "the old key, not charged for what was refused", s.Take(sized(2, 3), "2", 1, 0), true, false)
	wantAnswer(t, "the old key, used up", s.Take(sized(2, 3), "2", 1, 0), false, false)

	s.Sweep(hour/2, math.MaxInt)
	s.Sweep(hour/2, math.MaxInt)
	wantAnswer(t, "fourth, while the keys are live", s.Take(sized(4), "4", 1, hour/2), false, true)
	s.Sweep(hour, math.MaxInt)
	s.Sweep(hour, math.MaxInt)
	wantAnswer(t, "fourth, when the others are full", s.Take(sized(4), "4", 1, hour), true, false)
	wantAnswer(t, "fifth and sixth", s.Take(sized(5, 6), "5", 1, hour), true, false)
	wantAnswer(t, "seventh", s.Take(sized(7), "7", 1, hour), false, true)
	if n := len(*s.limits.known.Load()); n != 4 {
		t.Errorf("the list has grown to %d for 3 numbers", n)
	}
}

func TestDefaultMaxLimits(t *testing.T) {
	for _, given := range []int{0, -1} {
		if s := NewStore(StoreConfig{MaxLimits: given}); s.limits.limit != 65536 {
			t.Errorf("MaxLimits %d means %d", given, s.limits.limit)
		}
	}
}

// TestNumbersOfLiveEntriesStay lets keys with ever other numbers come in, time
// jump, tables be made anew and the sweep go its way in between: an entry's
// index must mean what it meant when it was written.
func TestNumbersOfLiveEntriesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStore(StoreConfig{MaxLimits: rapid.IntRange(1, 30).Draw(t, "max")})
		written := map[place]int64{} // the counts
		now := int64(0)
		take := func(t *rapid.T) {
			counts := rapid.SliceOfN(rapid.Int64Range(1, 9), 1, 3).Draw(t, "counts")
			key, rule := rapid.Uint64Range(0, 10).Draw(t, "key"), sized(counts...)
			d := Digest{Hi: key % 4 << 58, Lo: key << 60} // in shards that lie far apart
			v := s.TakeDigest(rule, d, 1, now)
			for i := range rule.terms {
				e := s.shard(d).table.find(d.Hi, rule.terms[i].lo(d))
				// A refused hit rewrites what is there, if there is room.
				if v.Allowed || e != nil && s.limits.at(e.limit).count == counts[i] {
					written[place{d.Hi, rule.terms[i].lo(d)}] = counts[i]
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": take,
			"takes": func(t *rapid.T) {
				for range 10 {
					take(t)
				}
			},
			"wait":  func(t *rapid.T) { now += rapid.Int64Range(0, time.Hour.Nanoseconds()).Draw(t, "wait") },
			"sweep": func(t *rapid.T) { s.Sweep(now, rapid.IntRange(1, 100).Draw(t, "slots")) },
			"round": func(t *rapid.T) { s.Sweep(now, math.MaxInt) },
			"rebuild": func(t *rapid.T) {
				s.shards[rapid.IntRange(0, 3).Draw(t, "shard")*64].table.rebuild(now)
			},
			"": func(t *rapid.T) { checkNumbers(t, s, written) },
		})
	})
}

func checkNumbers(t *rapid.T, s *Store, written map[place]int64) {
	known := *s.limits.known.Load()
	for i := range s.shards {
		for _, e := range s.shards[i].table.slots {
			if e.limit == 0 {
				continue
			}
			count := written[place{e.hi, e.lo}]
			if n := known[e.limit].key(); n.count != count || s.limits.index[n] != e.limit || slices.Contains(s.limits.free, e.limit) {
				t.Fatalf("entry %+v was of %d an hour; its index now means %+v, free are %v", e, count, n, s.limits.free)
			}
		}
	}
	if len(s.limits.index)+len(s.limits.free) != len(known)-1 || len(known)-1 > s.limits.limit {
		t.Fatalf("%d numbers in use, %d free, %d known", len(s.limits.index), len(s.limits.free), len(known)-1)
	}
}

// A table that is made anew while the sweep is half-way through it is begun
// again: what the sweep had before it may now lie behind.
func TestSweepBeginsAgainWithANewTable(t *testing.T) {
	s := NewStore(StoreConfig{})
	takeAt := func(r *Rule, lo uint64) { s.TakeDigest(r, Digest{Lo: lo ^ r.terms[0].id}, 1, 0) }
	short, long := MustRule("short", "1/second"), sized(1)
	for i := range uint64(2000) {
		takeAt(short, i<<53) // over the whole table
	}
	takeAt(long, 3<<62) // in its last quarter
	s.Sweep(0, math.MaxInt)
	s.Sweep(0, 1)
	if s.sweep.slot != sliceSlots {
		t.Fatalf("the sweep is at slot %d", s.sweep.slot)
	}
	s.shards[0].table.rebuild(1e9) // as a hit that adds a key may do
	if n := len(s.shards[0].table.slots); n != minSlots {
		t.Fatalf("the table has %d slots", n)
	}
	s.Sweep(1e9, math.MaxInt)
	if s.limits.index[long.terms[0].key()] == 0 || s.Len() != 1 {
		t.Errorf("%d entries, but numbers only for %v", s.Len(), s.limits.index)
	}
}

// The last key that the sweep knew to have some numbers is full, but behind the
// sweep's back another key has come with the same.
func TestNumbersOfAKeyBehindTheSweepStay(t *testing.T) {
	s, rule := NewStore(StoreConfig{}), sized(1)
	hour := time.Hour.Nanoseconds()
	s.TakeDigest(rule, Digest{Hi: 200 << 52}, 1, 0)
	s.Sweep(0, math.MaxInt)
	s.Sweep(hour, 100) // so many shards, all empty
	s.TakeDigest(rule, Digest{Hi: 0}, 1, hour)
	if dropped := s.Sweep(hour, math.MaxInt); dropped != 1 || s.limits.index[rule.terms[0].key()] == 0 {
		t.Errorf("dropped %d; numbers are left for %v", dropped, s.limits.index)
	}
}

// Two hits may find at the same time that their numbers are missing: the second
// gets the index that the first made, and it is in use.
func TestAddOfWhatAnotherHasAdded(t *testing.T) {
	n, term := newNumbering(10), &sized(1).terms[0]
	first, _ := n.number(term)
	n.endRound()
	if second, ok := n.add(term); !ok || second != first {
		t.Errorf("first %d, then %d, %t", first, second, ok)
	}
	if n.endRound(); n.index[term.key()] != first {
		t.Errorf("after a round in use it is gone: %v", n.index)
	}
	if n.endRound(); len(n.index) != 0 {
		t.Errorf("after a round out of use it is there: %v", n.index)
	}
}

// A flood of numbers leaves no trace once its keys are full.
func TestFloodOfNumbersPasses(t *testing.T) {
	s := NewStore(StoreConfig{MaxLimits: 1000})
	refused := 0
	for i := range int64(3000) {
		if s.Take(sized(i+1), fmt.Sprint(i), 1, 0).Degraded {
			refused++
		}
	}
	if refused != 2000 {
		t.Errorf("%d refused", refused)
	}
	s.Sweep(time.Hour.Nanoseconds(), math.MaxInt)
	s.Sweep(time.Hour.Nanoseconds(), math.MaxInt)
	if s.Len() != 0 || len(s.limits.index) != 0 || len(s.limits.free) != 1000 {
		t.Errorf("%d entries, %d numbers, %d free", s.Len(), len(s.limits.index), len(s.limits.free))
	}
}

// What a copy says of a limit for which there is no number is dropped, and counted: of a
// key that is new here, and of one whose bucket is full under another limit.
func TestUnmergedStatesAreCounted(t *testing.T) {
	const now = int64(time.Hour)
	from, to := NewStore(StoreConfig{}), NewStore(StoreConfig{MaxLimits: 1})
	rule, changed, other := MustRule("api", "5/second"), MustRule("api", "7/second"), MustRule("other", "3/hour")
	d := from.Digest(changed, "alice")
	partition := partitionOf(d.Hi)
	from.TakeDigest(changed, d, 1, now)
	from.TakeDigest(other, d, 1, now)
	copied, _ := from.AppendCopy(nil, partition, now)
	to.TakeDigest(rule, d, 1, 0)
	for merges := int64(1); merges <= 2; merges++ {
		if err := to.Merge(partition, copied, now); err != nil {
			t.Fatal(err)
		}
		if got := to.Stats().Unmerged; got != 2*merges {
			t.Errorf("%d states count as unmerged after %d merges of 2", got, merges)
		}
	}
	if got := from.Stats().Unmerged; got != 0 {
		t.Errorf("%d count where nothing was merged", got)
	}
}
