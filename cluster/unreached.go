package cluster

import (
	"sync"
	"time"

	"github.com/shoal-dev/shoal/handoff"
)

// lostTime is how long a member that a third replica couldn't reach either is taken
// for lost.
const lostTime = 100 * time.Millisecond

// unreached are the members that nobody seems to reach.
type unreached struct {
	mu    sync.Mutex
	since map[handoff.Boot]int64
}

// add notes that nobody reached b at now.
func (l *unreached) add(b handoff.Boot, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == nil || len(l.since) > 1000 {
		l.since = map[handoff.Boot]int64{}
	}
	l.since[b] = now
}

// until is when to look for b again; the past if there is no reason not to.
func (l *unreached) until(b handoff.Boot) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since, ok := l.since[b]; ok {
		return since + int64(lostTime)
	}
	return 0
}
