package bucket

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Every hit is counted once, by the quick way and by the general one, whoever takes at
// the same time; one that isn't decided here is not.
func TestHitsAreCounted(t *testing.T) {
	for _, text := range []string{"2/hour", "2/hour, 9/day"} {
		s, rule := NewStore(StoreConfig{}), MustRule("api", text)
		var counts Counts
		var held atomic.Int64
		if s.TakeCommon(new(Decision), &held, &counts, rule, s.Digest(rule, "0"), 1, 0) {
			t.Fatal("decided what isn't held")
		}
		held.Store(1)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 500 {
					s.TakeCommon(new(Decision), &held, &counts, rule, s.Digest(rule, strconv.Itoa(i)), 1, 0)
				}
				s.Counted(&counts)
			})
		}
		wg.Wait()
		if admitted, refused := s.Counted(&counts); admitted != 1000 || refused != 1000 {
			t.Errorf("%s: counted %d admitted and %d refused, not 1000 each", text, admitted, refused)
		}
		s.TakeCommon(new(Decision), nil, &counts, rule, s.Digest(rule, "0"), -1, 0)
		if _, refused := s.Counted(&counts); refused != 1001 {
			t.Errorf("%s: a negative hit makes %d refused, not 1001", text, refused)
		}
	}
}
