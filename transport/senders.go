package transport

import (
	"sync"
	"time"
)

const (
	// memoryTime is how long a sender is remembered that has no stream. No hit
	// lives for longer than 10 s, so none can come again after it.
	memoryTime = 15 * time.Second

	// maxSenders bounds the senders that are remembered: several times as many as
	// a cluster has members, as each restart makes a new one.
	maxSenders = 1024
)

// senders are the boots that ask a server, each with what it was answered.
type senders struct {
	mu    sync.Mutex
	known map[uint64]*sender
}

type sender struct {
	memory
	uses   int         // streams and relayed hits; guarded by senders.mu
	ending *time.Timer // forgets it; nil while there are uses
}

// join returns the sender for one more stream of a boot, or for a hit of its that
// came another way, or nil if there are too many. The caller ends it by leave.
func (s *senders) join(boot uint64) *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[boot]
	if one == nil {
		if len(s.known) >= maxSenders {
			return nil
		}
		if s.known == nil {
			s.known = make(map[uint64]*sender)
		}
		one = new(sender)
		s.known[boot] = one
	}
	one.uses++
	if one.ending != nil {
		one.ending.Stop()
		one.ending = nil
	}
	return one
}

// leave forgets the sender after a while, unless it is joined again.
func (s *senders) leave(boot uint64, one *sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.uses--
	if one.uses > 0 {
		return
	}
	var ending *time.Timer
	ending = time.AfterFunc(memoryTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one.ending == ending { // else it was joined at the last moment
			delete(s.known, boot)
		}
	})
	one.ending = ending
}

// close forgets them all.
func (s *senders) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for boot, one := range s.known {
		if one.ending != nil {
			one.ending.Stop()
		}
		delete(s.known, boot)
	}
}
