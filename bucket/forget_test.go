package bucket

import (
	"sync/atomic"
	"testing"
)

// What is forgotten of a log gives its memory back: after a refund, a reset, and
// when the partition goes.
func TestForgottenLogsLeaveNoMemory(t *testing.T) {
	rule := MustRule("r", "9/minute log; 5/second log; penalty 3/minute log")
	here, there := Digest{1, 1}, Digest{1<<60 | 1, 1} // of two partitions, and one shard
	for name, forget := range map[string]func(*Store, Receipt){
		"refund": func(s *Store, r Receipt) { s.RefundDigest(rule, here, r, 2) },
		"reset":  func(s *Store, _ Receipt) { s.ResetDigest(rule, here, 2) },
		"drop":   func(s *Store, _ Receipt) { s.Drop(partitionOf(here.Hi)) },
	} {
		store := NewStore(StoreConfig{})
		v, other := store.TakeDigest(rule, here, 5, 1), store.TakeDigest(rule, there, 2, 1)
		bytes := store.logBytes()
		if name != "refund" {
			store.TakeDigest(rule, here, 5, 1) // one refusal, which no refund takes back
		}
		if store.shard(here) != store.shard(there) || !v.Allowed || !other.Allowed || bytes == 0 {
			t.Fatalf("%+v, %+v, %d bytes", v, other, bytes)
		}
		forget(store, v.Receipt)
		checkStore(t, store)
		if v := store.PeekDigest(rule, here, 5, 2); !v.Allowed {
			t.Errorf("%s: %+v", name, v)
		}
		if v := store.PeekDigest(rule, there, 0, 2); v.Remaining != 3 {
			t.Errorf("%s: the other partition has %+v", name, v)
		}
		if name == "drop" && store.Len() != 2 {
			t.Errorf("%d entries are left", store.Len())
		}
		store.ResetDigest(rule, there, 2)
		if n := store.logBytes(); n != 0 {
			t.Errorf("%s: %d bytes of logs are left", name, n)
		}
	}
}

// A token that came late, by the clock, has the time of the one before it in a log.
// With eight limits a receipt can say so up to 254 nanoseconds.
func TestReceiptsOfLateTokens(t *testing.T) {
	for late, want := range map[int64]bool{0: true, 254: true, 255: false, 1000: false} {
		var limits []Limit
		for range MaxLimits {
			limits = append(limits, Limit{Algorithm: SlidingLog, Count: 5, Per: 1e9})
		}
		rule, err := NewRule("r", limits)
		if err != nil {
			t.Fatal(err)
		}
		store, d := NewStore(StoreConfig{}), Digest{1, 1}
		store.TakeDigest(rule, d, 1, 5000)
		v := store.TakeDigest(rule, d, 2, 5000-late)
		if credited := store.RefundDigest(rule, d, v.Receipt, 6000); !v.Allowed || credited != want {
			t.Errorf("%d ns late: %+v, credited %t", late, v, credited)
		}
	}
}

// A state that was elsewhere meanwhile may have been refunded or reset there.
func TestReceiptsFromBeforeAHandOff(t *testing.T) {
	rule, store, d := MustRule("r", "5/hour"), NewStore(StoreConfig{}), Digest{1, 1}
	before, after := store.TakeDigest(rule, d, 1, 10), store.TakeDigest(rule, d, 1, 20)
	var held atomic.Int64
	held.Store(20)
	if credited, ok := store.RefundHeld(&held, rule, d, before.Receipt, 30); credited || !ok {
		t.Errorf("from before: %t, %t", credited, ok)
	}
	if credited, ok := store.RefundHeld(&held, rule, d, after.Receipt, 30); !credited || !ok {
		t.Errorf("from after: %t, %t", credited, ok)
	}
}
