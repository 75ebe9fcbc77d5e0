package cluster

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// names are remembered for a while. They are read often and added hardly ever. When
// there are too many all are forgotten.
type names struct {
	mu   sync.Mutex
	sets atomic.Pointer[map[string]int64] // when to forget each
}

const (
	mostNames = 1000
	nameTime  = int64(time.Minute)
)

// has reports whether a name was added in the last minute, or half of it.
func (s *names) has(name string, now int64) bool { return now < s.until(name) }

func (s *names) until(name string) int64 {
	if set := s.sets.Load(); set != nil {
		return (*set)[name]
	}
	return 0
}

// add reports whether the name is new.
func (s *names) add(name string, now int64) (isNew bool) {
	if now < s.until(name)-nameTime/2 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	isNew = !s.has(name, now)
	next := map[string]int64{}
	if set := s.sets.Load(); set != nil && len(*set) < mostNames {
		maps.Copy(next, *set)
	}
	next[name] = now + nameTime
	s.sets.Store(&next)
	return isNew
}
