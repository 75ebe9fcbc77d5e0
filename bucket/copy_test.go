package bucket

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkStore wants every log in a block of its own, in order, and no block in
// use that no entry has.
func checkStore(t interface{ Fatalf(string, ...any) }, s *Store) {
	for i := range s.shards {
		table, owned := &s.shards[i].table, map[uint32]bool{}
		for j := range table.slots {
			e := &table.slots[j]
			if e.limit&logBit == 0 {
				continue
			}
			l := table.log(e)
			times := l.times()
			if owned[e.seq] || l.n == 0 || l.n > len(l.ring) || !slices.IsSorted(times) {
				t.Fatalf("entry %+v has the log %v; its block is used by another: %t", e, times, owned[e.seq])
			}
			owned[e.seq] = true
		}
		used := 0
		if table.logs != nil {
			for _, c := range table.logs.chunks {
				used += c.blocks() - bits.OnesCount16(c.free)
			}
		}
		if used != len(owned) {
			t.Fatalf("shard %d: %d blocks are in use, and %d entries have one", i, used, len(owned))
		}
	}
}

// clocked is a store with its own clock, beside others with the same wall.
type clocked struct {
	*Store
	ahead int64
}

func newClocked(ahead int64) clocked {
	return clocked{NewStore(StoreConfig{Epoch: epoch - ahead, Track: true}), ahead}
}

func (c clocked) take(r *Rule, d Digest, n, now int64) Verdict {
	return c.TakeDigest(r, d, n, now+c.ahead)
}

func (c clocked) copy(d Digest, now int64) []byte {
	b, _ := c.AppendCopy(nil, partitionOf(d.Hi), now+c.ahead)
	return b
}

func (c clocked) merge(t *rapid.T, d Digest, copied []byte, now int64) {
	if err := c.Store.Merge(partitionOf(d.Hi), copied, now+c.ahead); err != nil {
		t.Fatal(err)
	}
	checkStore(t, c.Store)
}

func (c clocked) changes() (n int) {
	for shard := range Shards {
		c.Changes(shard, 0, func(int, []byte) { n++ })
	}
	return n
}

func drawTermRule(t *rapid.T) *Rule {
	term := drawTerm(t)
	l := Limit{"x", term.algorithm, term.count, time.Duration(term.numbers.per), 0, term.numbers.aligned, term.calendar, term.numbers.zone}
	if !term.windowed() {
		l.Burst = term.numbers.burst
	}
	r, err := NewRule("r", []Limit{l})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever happened to two stores, whose clocks count from different times, once
// each has the other's copy they know the same, at least what either did before,
// and further copies change nothing.
func TestStoresAgreeOnceTheyHaveEachOthersCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newClocked(rapid.Int64Range(0, 1<<41).Draw(t, "a")), newClocked(rapid.Int64Range(0, 1<<41).Draw(t, "b"))
		rule, d := drawTermRule(t), Digest{rapid.Uint64().Draw(t, "key"), 7}
		term := &rule.terms[0]
		now := rapid.Int64Range(1, 1<<40).Draw(t, "now")
		for range rapid.IntRange(0, 20).Draw(t, "hits") {
			store := rapid.SampledFrom([]clocked{a, b}).Draw(t, "store")
			store.take(rule, d, int64(term.drawHit(t)), now)
			now += term.drawGap(t)
		}
		leftA, leftB := a.take(rule, d, 0, now).Remaining, b.take(rule, d, 0, now).Remaining
		fromA, fromB := a.copy(d, now), b.copy(d, now)
		a.merge(t, d, fromB, now)
		b.merge(t, d, fromA, now)
		if got, want := a.copy(d, now), b.copy(d, now); !bytes.Equal(got, want) {
			t.Fatalf("%v: the copies %x and %x merge to %x and to %x", rule, fromA, fromB, got, want)
		}
		left := a.take(rule, d, 0, now).Remaining
		if mixed := term.algorithm == FixedWindow || term.algorithm == SlidingWindow; left > max(leftA, leftB) || !mixed && left > min(leftA, leftB) {
			t.Fatalf("%v: %d and %d left, merged %d", rule, leftA, leftB, left)
		}
		a.changes()
		for _, again := range [][]byte{fromA, fromB, b.copy(d, now)} {
			a.merge(t, d, again, now)
		}
		if n := a.changes(); n != 0 || !bytes.Equal(a.copy(d, now), b.copy(d, now)) {
			t.Fatalf("%v: merged again, %d entries have changed", rule, n)
		}
	})
}

// A copy that arrives late is on the strict side, by how late it was.
func TestLateCopiesAreStrict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newClocked(0), newClocked(1<<40)
		rule, d := drawTermRule(t), Digest{1, 2}
		term := &rule.terms[0]
		now := int64(1 << 30)
		for range 10 {
			a.take(rule, d, int64(term.drawHit(t)), now)
			now += term.drawGap(t) / 4
		}
		copied := a.copy(d, now)
		now += term.drawGap(t) / 4
		b.merge(t, d, copied, now)
		if home, away := a.take(rule, d, 0, now), b.take(rule, d, 0, now); away.Remaining > home.Remaining || away.ResetAfter < home.ResetAfter {
			t.Fatalf("%v: a late copy has %+v, home %+v", rule, away, home)
		}
	})
}

// A copy has everything: all keys of the partition under all limits.
func TestCopiesAreComplete(t *testing.T) {
	rule := MustRule("r", "10/second; 20/minute leaky; 30/hour fixed; 40/hour sliding; 50/hour log; 60/month calendar in Asia/Tokyo")
	from, to, other := newClocked(0), newClocked(5000), newClocked(0)
	for i := range 1000 {
		d := Digest{uint64(i%3)<<52 | uint64(i), uint64(i) << 40}
		for range 1 + i%5 {
			from.take(rule, d, 1, int64(i))
		}
	}
	for partition := range 3 {
		b, entries := from.AppendCopy([]byte("head"), partition, 2000)
		if err := to.Merge(partition, b[4:], 7000); err != nil || string(b[:4]) != "head" || entries != (1002-partition)/3*6 {
			t.Fatalf("partition %d: %d entries, %v", partition, entries, err)
		}
		if err := other.Merge(partition+1, b[4:], 2000); err == nil || other.Len() > 0 {
			t.Errorf("merged into another partition: %v", err)
		}
	}
	for i := range 1000 {
		d := Digest{uint64(i%3)<<52 | uint64(i), uint64(i) << 40}
		for _, n := range []int64{0, 3, 4, 9, 1} {
			got, want := to.take(rule, d, n, 2000), from.take(rule, d, n, 2000)
			if got.Receipt, want.Receipt = (Receipt{}), (Receipt{}); got != want { // they are of two clocks
				t.Fatalf("key %d: %+v, originally %+v", i, got, want)
			}
		}
	}
}

func TestChangesAreWhatWasCharged(t *testing.T) {
	rule := MustRule("r", "10/second; 50/hour log")
	from, to := newClocked(0), NewStore(StoreConfig{})
	ship := func() (bytes int) {
		for shard := range Shards {
			from.Changes(shard, 100, func(partition int, changes []byte) {
				bytes += len(changes)
				if err := to.Merge(partition, changes, 100); err != nil {
					t.Error(err)
				}
			})
		}
		return bytes
	}
	for i := range 100 {
		from.Take(rule, string(rune('a'+i)), int64(i%10), 100)
	}
	if ship(); to.Len() != 180 || ship() != 0 {
		t.Errorf("%d entries came, want 180, and nothing twice", to.Len())
	}
	from.Take(rule, "b", 2, 100)
	from.Take(rule, "c", 9, 100) // refused
	if n := ship(); n == 0 || to.Take(rule, "b", 0, 100) != from.Take(rule, "b", 0, 100) {
		t.Errorf("%d bytes of changes, and then %+v", n, to.Take(rule, "b", 0, 100))
	}
}

// Where the receiver has other numbers, these stay, and no consumption is lost.
func TestCopiesUnderOtherNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := []*Rule{drawTermRule(t), drawTermRule(t)}
		a, b := newClocked(0), newClocked(99)
		d, now := Digest{1, 2}, int64(1<<30)
		var taken [2]int64
		for i, store := range []clocked{a, b} {
			for range 5 {
				n := int64(rules[i].terms[0].drawHit(t))
				if store.take(rules[i], d, n, now).Allowed {
					taken[i] += n
				}
			}
		}
		b.merge(t, d, a.copy(d, now), now)
		b.merge(t, d, a.copy(d, now), now)
		most := max(taken[0], taken[1])
		if capacity := rules[1].Capacity(); taken[1] > 0 && b.take(rules[1], d, 0, now).Remaining > max(0, capacity-most) {
			t.Fatalf("%v, of which %v were taken: %+v", rules, taken, b.take(rules[1], d, 0, now))
		}
	})
}

// hostile makes a copy by hand.
func hostile(terms []term, entries uint32, records ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(terms)))
	for i := range terms {
		encoded := appendTerm(nil, &terms[i], false)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(encoded))), encoded...)
	}
	return append(binary.BigEndian.AppendUint32(b, entries), slices.Concat(records...)...)
}

func record(d Digest, left int64, val uint64, seq uint32, place uint16, times ...int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, d.Hi)
	b = binary.BigEndian.AppendUint64(b, d.Lo)
	b = binary.BigEndian.AppendUint64(b, uint64(left))
	b = binary.BigEndian.AppendUint64(b, val)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint16(b, place)
	for _, t := range times {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// Nothing received bars a key for longer than an ordinary hit could.
func TestHostileStatesAreBounded(t *testing.T) {
	extremes := []int64{math.MinInt64, -1, 0, 1, 1 << 40, math.MaxInt64}
	for _, text := range []string{"3/minute", "7/second leaky", "3/minute fixed", "3/minute fixed aligned", "3/minute sliding", "3/minute log", "3/month calendar in Europe/Berlin"} {
		rule := MustRule("r", text)
		x := rule.terms[0]
		for _, left := range extremes {
			for _, val := range extremes {
				d := Digest{1, x.id}
				var times []int64
				if x.algorithm == SlidingLog {
					val = min(max(0, val), maxLog)
					for range val {
						times = append(times, left)
					}
				}
				store, now := NewStore(StoreConfig{Epoch: epoch}), int64(1<<50)
				if err := store.Merge(0, hostile([]term{x}, 1, record(d, left, uint64(val), math.MaxUint32, 0, times...)), now); err != nil {
					t.Fatal(err)
				}
				checkStore(t, store)
				d.Lo ^= x.id
				longest := 2 * x.window.longest()
				if !x.windowed() {
					longest = int64(time.Minute)
				}
				if v := store.TakeDigest(rule, d, 1, now); v.Remaining < 0 || v.RetryAfter > time.Duration(longest) || v.ResetAfter > time.Duration(longest) {
					t.Errorf("%s: %d left, val %d: %+v", text, left, val, v)
				}
				if v := store.TakeDigest(rule, d, 3, now+longest); !v.Allowed {
					t.Errorf("%s: %d left, val %d; after %v: %+v", text, left, val, longest, v)
				}
			}
		}
	}
}

func TestMalformedCopiesAreRefusedWhole(t *testing.T) {
	plain, logged := MustRule("r", "3/minute").terms[0], MustRule("r", "3/minute log").terms[0]
	good := record(Digest{1, 1}, 5, 1, 0, 0)
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a byte":               {0},
		"no entries":           {0, 0},
		"limits that aren't":   {255, 255, 0, 0, 0, 0},
		"a limit cut short":    hostile([]term{plain}, 0)[:20],
		"bytes after a limit":  append(append([]byte{0, 1, 0, termBytes + 1}, appendTerm(nil, &plain, false)...), 0, 0, 0, 0, 0),
		"more than it says":    hostile([]term{plain}, 1, good, good),
		"fewer than it says":   hostile([]term{plain}, 2, good),
		"another place":        hostile([]term{plain}, 2, good, record(Digest{1, 2}, 5, 1, 0, 1)),
		"another partition":    hostile([]term{plain}, 2, good, record(Digest{1 << 52, 2}, 5, 1, 0, 0)),
		"a log too long":       hostile([]term{plain, logged}, 2, good, record(Digest{1, 2}, 5, 1025, 0, 1, make([]int64, 1025)...)),
		"a log that isn't":     hostile([]term{plain, logged}, 2, good, record(Digest{1, 2}, 5, 3, 0, 1, 1, 2)),
		"a log of 2^61 tokens": hostile([]term{plain, logged}, 2, good, record(Digest{1, 2}, 5, 1<<61, 0, 1)),
	} {
		store := NewStore(StoreConfig{})
		if err := store.Merge(0, b, 100); err == nil || store.Len() > 0 {
			t.Errorf("%s: %v, and %d entries", name, err, store.Len())
		}
	}
}

// What a copy leaves in memory is bounded by its size, whatever it says: four times
// that, and what the first logs of each size take.
func TestHostileCopiesAllocateLittle(t *testing.T) {
	plain, logged := MustRule("r", "3/minute").terms[0], MustRule("r", "1024/minute log").terms[0]
	many := func(n int, times ...int64) (records [][]byte) {
		for i := range n {
			records = append(records, record(Digest{0, uint64(i) * 0x9e3779b97f4a7c15}, 1e9, uint64(max(1, len(times))), 0, 0, times...))
		}
		return records
	}
	limits := make([]term, 20_000)
	for i := range limits {
		limits[i] = newTerm(1, numbers{count: int64(i + 1), per: 1e9, burst: 5}, nil)
	}
	for name, b := range map[string][]byte{
		"entries":            hostile([]term{plain}, 50_000, many(50_000)...),
		"short logs":         hostile([]term{logged}, 50_000, many(50_000, 0)...),
		"logs of odd length": hostile([]term{logged}, 20_000, many(20_000, make([]int64, 17)...)...),
		"long logs":          hostile([]term{logged}, 500, many(500, make([]int64, 1024)...)...),
		"limits":             hostile(limits, 0),
	} {
		store := NewStore(StoreConfig{})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := store.Merge(0, b, 100); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept, all := int64(after.HeapAlloc)-int64(before.HeapAlloc), after.TotalAlloc-before.TotalAlloc
		t.Logf("%s: %d bytes; allocated %.1f times that, kept %.1f", name, len(b), float64(all)/float64(len(b)), float64(kept)/float64(len(b)))
		if kept > int64(4*len(b)+1<<17) {
			t.Errorf("%s: %d bytes kept for %d", name, kept, len(b))
		}
		runtime.KeepAlive(store)
	}
}

func FuzzMergeCopy(f *testing.F) {
	source := NewStore(StoreConfig{})
	rule := MustRule("r", "3/minute; 5/minute leaky; 3/minute fixed aligned; 3/hour sliding; 3/minute log; 3/month calendar in Europe/Berlin")
	for i := range int64(3) {
		source.TakeDigest(rule, Digest{1, 1}, 1, i)
	}
	copied, _ := source.AppendCopy(nil, 0, 5)
	f.Add(copied)
	f.Add(hostile(nil, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		store, now := NewStore(StoreConfig{Track: true}), int64(1000)
		store.TakeDigest(rule, Digest{1, 1}, 2, now)
		if store.Merge(0, b, now) != nil {
			return
		}
		checkStore(t, store)
		once, _ := store.AppendCopy(nil, 0, now)
		if err := store.Merge(0, b, now); err != nil {
			t.Fatal(err)
		}
		if twice, _ := store.AppendCopy(nil, 0, now); !bytes.Equal(once, twice) {
			t.Fatalf("merged once %x, twice %x", once, twice)
		}
		if v := store.TakeDigest(rule, Digest{1, 1}, 1, now); v.Remaining < 0 || v.Degraded || v.Allowed != (v.RetryAfter == 0) {
			t.Fatalf("%+v", v)
		}
		store.Sweep(math.MaxInt64, math.MaxInt)
		checkStore(t, store)
	})
}
