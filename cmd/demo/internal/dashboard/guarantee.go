package dashboard

import (
	"fmt"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
)

// replication is how often buckets are copied to their standby: what was admitted since
// may be lost in a crash.
const replication = 100 * time.Millisecond

// crashTime is how long after a crash its standbys may decide.
const crashTime = 5 * time.Second

// guarantee keeps what may be over in a load, by what has happened meanwhile: the table
// "What it promises" of the README. It is safe for concurrent use.
type guarantee struct {
	bound exact.Bound
	keys  int64

	mu      sync.Mutex
	crashed int64         // of the last 100 ms before each crash
	alone   int64         // admitted without the holder, with neither split nor crash
	crash   time.Duration // when the last was; 0 if there was none
	cut     time.Duration // when the cluster fell apart; 0 while it is whole
	healing bool          // nothing cuts it any more
	apart   time.Duration // for how long it was before that
	cuts    int64
}

func newGuarantee(b exact.Bound, keys int) *guarantee { return &guarantee{bound: b, keys: int64(keys)} }

// kill notes a crash, before which so many were admitted in the last 100 ms. If the
// buckets of the killed had no complete copy yet, all may begin anew.
func (g *guarantee) kill(now time.Duration, lately int64, uncopied bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.crash = now
	if uncopied {
		lately += g.keys * g.bound.Burst
	}
	g.crashed += lately
}

// split notes that the cluster has been cut in two.
func (g *guarantee) split(now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.healing = false
	if g.cut == 0 {
		g.cut = max(now, 1)
		g.cuts++
	}
}

// forced notes that partitions of a silent replica were taken over, which may hold them
// still: that is a split, until all is whole. After a crash it is what should happen.
func (g *guarantee) forced(now time.Duration) {
	g.mu.Lock()
	after := g.crash > 0 && now-g.crash < 2*crashTime
	apart := g.cut != 0
	g.mu.Unlock()
	if !after && !apart {
		g.split(now)
		g.heal()
	}
}

// heal notes that nothing cuts it any more. It is apart until it is seen to be whole.
func (g *guarantee) heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.healing = true
}

// see notes whether the cluster is whole and at rest.
func (g *guarantee) see(now time.Duration, whole bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut != 0 && g.healing && whole {
		g.apart += now - g.cut
		g.cut = 0
	}
}

// degraded notes that one was admitted without the holder of its key. That adds to what
// may be over, unless a split or a crash accounts for it.
func (g *guarantee) degraded(now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut == 0 && (g.crash == 0 || now-g.crash > crashTime) {
		g.alone++
	}
}

// most returns the most that may be over, and why.
func (g *guarantee) most(now time.Duration) (most int64, reasons []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	because := func(n int64, format string, args ...any) {
		most += n
		reasons = append(reasons, fmt.Sprintf(format, args...))
	}
	if g.cuts > 0 {
		apart := g.apart
		if g.cut != 0 {
			apart += now - g.cut
		}
		each := g.cuts*g.bound.Burst + int64(apart.Seconds()*float64(g.bound.Count)/g.bound.Per.Seconds()) + 1
		because(g.keys*each, "split for %s: each side gave the whole limit", short(apart))
	}
	if g.crash > 0 {
		because(g.crashed, "crash: what was admitted in the last %d ms before it", replication.Milliseconds())
	}
	if g.alone > 0 {
		because(g.alone, "some replica was too busy to answer in time: %d were admitted without it", g.alone)
	}
	return most, reasons
}
