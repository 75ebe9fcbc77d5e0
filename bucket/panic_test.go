package bucket

import "testing"

// A panic under a shard's lock leaves it free, whichever way a hit takes: a lock that
// stays would have every later hit of 1 key in 256 wait for ever.
func TestAPanicLeavesNoLock(t *testing.T) {
	for _, words := range []string{"5/hour", "5/hour; 9/day", "5/hour fixed"} {
		store, rule := NewStore(StoreConfig{}), MustRule("api", words)
		store.Take(rule, "key", 1, 0)
		for name, f := range map[string]func(){
			"Take":      func() { store.Take(rule, "key", 1, 1) },
			"Peek":      func() { store.Peek(rule, "key", 1, 1) },
			"a new key": func() { store.Take(rule, "new", 1, 1) },
		} {
			limits := store.limits
			store.limits = nil
			if !panics(f) {
				t.Fatalf("%s: %s doesn't panic", words, name)
			}
			store.limits = limits
			for i := range store.shards {
				if !store.shards[i].mu.TryLock() {
					t.Fatalf("%s: %s leaves a lock", words, name)
				}
				store.shards[i].mu.Unlock()
			}
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
