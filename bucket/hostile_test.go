package bucket

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

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
