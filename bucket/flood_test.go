package bucket_test

import (
	"flag"
	"runtime"
	"strconv"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
)

var strangers = flag.Int("strangers", 1_000_000, "keys that come by in TestManyStrangers")

// Millions of keys that nobody has seen come by, and a victim at its limit gets
// nothing, nor does the memory grow beyond its bound.
func TestManyStrangers(t *testing.T) {
	const budget = 32 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	store := bucket.NewStore(bucket.StoreConfig{MaxBytes: budget})
	victim, api := bucket.MustRule("login", "5/hour"), bucket.MustRule("api", "10/minute burst 20; 1000/day")
	store.Take(victim, "victim", 5, 0)
	admitted, now, strangers := int64(0), int64(0), scaled(*strangers)
	key := make([]byte, 0, 32)
	for i := range strangers {
		rule := api
		if i%4 == 0 {
			rule = victim // and some of them by the victim's own rule
		}
		now += 1000 // a million a second
		key = strconv.AppendInt(append(key[:0], "stranger-"...), int64(i), 10)
		store.Take(rule, string(key), 1, now)
		if i%1000 == 0 && store.Take(victim, "victim", 1, now).Allowed {
			admitted++
		}
		if i%(1<<16) == 0 {
			store.Sweep(now, 1<<14)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	stats := store.Stats()
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d strangers: %+v, %d MB of heap", strangers, stats, grown>>20)
	if admitted > 0 {
		t.Errorf("the victim passed %d times", admitted)
	}
	if grown > budget*12/10 || stats.Bytes > budget*12/10 {
		t.Errorf("%d bytes of heap, %d in tables, of %d", grown, stats.Bytes, budget)
	}
	if strangers >= 1_000_000 && stats.Overflowed == 0 {
		t.Errorf("there was room for everybody: %+v", stats)
	}
	runtime.KeepAlive(store)
}
