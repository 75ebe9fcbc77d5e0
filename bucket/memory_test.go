package bucket

import (
	"math"
	"reflect"
	"strconv"
	"testing"
	"unsafe"
)

// pointers counts the words of a type that the garbage collector follows.
func pointers(t reflect.Type) (n int) {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			n += pointers(t.Field(i).Type)
		}
		return n
	case reflect.Array:
		return t.Len() * pointers(t.Elem())
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return 0
	}
	return 1
}

func TestGarbageCollectorNeverLooksInside(t *testing.T) {
	if n, size := pointers(reflect.TypeFor[entry]()), unsafe.Sizeof(entry{}); n != 0 || size != 40 {
		t.Errorf("an entry has %d bytes and %d pointers, want 40 and none", size, n)
	}
	if n, size := pointers(reflect.TypeFor[shard]()), unsafe.Sizeof(shard{}); n != 4 || size != 64 {
		t.Errorf("a shard has %d bytes and %d pointers, want 64 and those of its slots, logs, changes and refunds", size, n)
	}
}

// tableBytes is the memory of the tables.
func (s *Store) tableBytes() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].table.slots) * int(unsafe.Sizeof(entry{}))
	}
	return n
}

// A key under one limit takes at most 64 bytes, also at the worst moment: right
// after the tables have grown. And the memory comes back.
func TestMemoryPerKey(t *testing.T) {
	keys := 1_000_000
	if UnderRace || testing.Short() {
		keys = 150_000
	}
	store, rule := NewStore(StoreConfig{}), MustRule("r", "10/second")
	worst := 0.0
	for i := 1; i <= keys; i++ {
		store.Take(rule, "key-"+strconv.Itoa(i), 1, 0)
		if i >= 100_000 && i%5000 == 0 {
			worst = max(worst, float64(store.tableBytes())/float64(i))
		}
	}
	t.Logf("at most %.1f bytes a key", worst)
	if worst > 64 || worst < 40 {
		t.Errorf("up to %.1f bytes a key", worst)
	}
	if dropped := store.Sweep(1e9, math.MaxInt); dropped != keys || store.tableBytes() > shardCount*minSlots*40 {
		t.Errorf("after a sweep that dropped %d keys, %d bytes are left", dropped, store.tableBytes())
	}
}

// Hits make room for themselves: a store that is never swept still doesn't keep
// much more than its live keys.
func TestGrowingDropsWhatIsFull(t *testing.T) {
	store, rule := NewStore(StoreConfig{}), MustRule("r", "1/second")
	const live, steps = 20_000, 10 // at any time, and times that they are all others
	for i := range steps * live {
		store.Take(rule, strconv.Itoa(i), 1, int64(i)*1e9/live)
		if i%1000 == 0 && i >= live && store.tableBytes() > 64*live*5/4 {
			t.Fatalf("after %d keys: %d bytes for %d live ones", i, store.tableBytes(), live)
		}
	}
}
