package bucket

import (
	"bytes"
	"math/bits"
	"slices"
	"sync/atomic"
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
		c.Changes(shard, 0, anyPartition, func(int, []byte) { n++ })
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
			from.Changes(shard, 100, anyPartition, func(partition int, changes []byte) {
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

// Whoever only keeps a copy has nothing to hand over. When it holds the state that is
// another matter.
func TestWhatIsKeptIsNoChange(t *testing.T) {
	rule, from, to := MustRule("r", "10/second"), newClocked(0), newClocked(0)
	d, held := from.Digest(rule, "k"), new(atomic.Int64)
	for i, want := range []int{0, 1, 0} {
		from.take(rule, d, 1, 0)
		held.Store(int64(i % 2))
		if err := to.Keep(held, partitionOf(d.Hi), from.copy(d, 0), 0); err != nil {
			t.Fatal(err)
		}
		if got := to.changes(); got != want || to.Len() != 1 {
			t.Errorf("copy %d makes %d changes, want %d", i, got, want)
		}
	}
	if left := to.PeekDigest(rule, d, 0, 0).Remaining; left != 7 {
		t.Errorf("%d are left", left)
	}
	if err := to.Keep(held, partitionOf(d.Hi), []byte("no copy"), 0); err == nil {
		t.Error("garbage is kept")
	}
	to.take(rule, d, 1, 0)
	if got := to.changes(); got != 1 {
		t.Errorf("what is charged after makes %d changes", got)
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

func anyPartition(int) bool { return true }
