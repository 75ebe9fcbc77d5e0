package cluster

import (
	"maps"
	"sync"
	"sync/atomic"
)

// names is a set of names that are read often and added hardly ever. It forgets all
// when there are too many.
type names struct {
	mu   sync.Mutex
	sets atomic.Pointer[map[string]bool]
}

const mostNames = 1000

func (s *names) has(name string) bool {
	set := s.sets.Load()
	return set != nil && (*set)[name]
}

// add reports whether the name is new.
func (s *names) add(name string) bool {
	if s.has(name) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string]bool{name: true}
	if set := s.sets.Load(); set != nil && len(*set) < mostNames {
		maps.Copy(next, *set)
	}
	s.sets.Store(&next)
	return true
}
