package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// partitions is what a node knows of the tokens of all partitions: package
// handoff decides, and this carries it out.
type partitions struct {
	self handoff.Boot
	// held says since when the token of a partition is here, in nanoseconds of the
	// node's clock; 0 if it isn't. It is written under mu and read by hits under
	// their bucket's lock.
	held [ring.Partitions]atomic.Int64
	// here has a bit for each partition whose token is here, for those who only want to
	// know which way to go: it stays in the processor's nearest cache.
	here [ring.Partitions / 64]atomic.Uint64
	// came are the boots that sent the tokens that are here; 0 for those made here.
	came [ring.Partitions]atomic.Uint64
	// kept are the boots that hold a token and copy its buckets here, as to their
	// standby; 0 where there is none.
	kept [ring.Partitions]atomic.Uint64
	// copied are the standbys that have acknowledged a whole copy of a partition held
	// here; 0 if none has. It is for the metrics alone.
	copied [ring.Partitions]atomic.Uint64
	// trails lead to the tokens of others. Every hit on them looks at both parts of one,
	// so they lie together.
	trails [ring.Partitions]trail

	mu      sync.Mutex
	parts   [ring.Partitions]handoff.Part
	pace    [ring.Partitions]pace
	view    *handoff.View
	viewed  int64                 // since when
	owners  []handoff.Boot        // by partition; nil before the first view
	heirs   []handoff.Boot        // who would own what is owned here, and most likely did
	gone    map[handoff.Boot]gone // boots that have been members
	calling map[handoff.Boot]bool // who is being called
	arrived chan struct{}         // closed, and replaced, when tokens have come
	formed  bool                  // may make tokens
	tally   HandoffMetrics

	// heard is the version of the latest holder that has said what is to become of the
	// copy of a partition here: orders of earlier ones are late.
	heard [ring.Partitions]handoff.Version
}

// trail leads to a token.
type trail struct {
	// hint is where it was last known to be; 0 is unknown.
	hint atomic.Uint64
	// former is the boot that the table named before it changed, until a hit has found
	// the token where it names now; 0 is none. That one knows where it has gone.
	former atomic.Uint64
}

// gone says since when a boot that has been a member is none: 0 if it is one.
type gone int64

func newPartitions(self handoff.Boot) *partitions {
	return &partitions{
		self:    self,
		view:    &handoff.View{Self: self},
		gone:    map[handoff.Boot]gone{},
		calling: map[handoff.Boot]bool{},
		arrived: make(chan struct{}),
	}
}

// bootID is the short form of a boot's name.
func bootID(boot string) handoff.Boot { return handoff.Boot(xxhash.Sum64String(boot)) }

// holdAll takes every token: there is nobody else, nor ever will be.
func (p *partitions) holdAll() {
	p.view = &handoff.View{Self: p.self, Members: []handoff.Boot{p.self}}
	for i := range p.parts {
		p.parts[i].StartClaim(p.view)
		p.publish(i, 1)
	}
}

// goneTime is how long a boot that has gone is remembered, for the sake of what it
// sent before and that may still be on its way.
const goneTime = 10 * time.Minute

// see makes v the view by which tokens move.
func (p *partitions) see(v *view, now int64) {
	owners, heirs := v.bootOwners(), v.bootHeirs(p.self)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(v, now)
	self := v.byID[p.self] // nil if another boot has this one's name
	p.view = &handoff.View{
		Self:     p.self,
		Members:  v.boots,
		Leaving:  self == nil || self.leaving,
		Hash:     v.hash,
		Departed: p.departed,
	}
	was := p.owners
	p.owners, p.heirs, p.viewed = owners, heirs, now
	for i := range p.parts {
		if was != nil && was[i] != p.owners[i] && (p.trails[i].former.Load() == 0 || p.departed(handoff.Boot(p.trails[i].former.Load()))) {
			p.trails[i].former.Store(uint64(was[i]))
		}
		p.parts[i].ViewChanged(p.view)
		if self == nil {
			p.parts[i].Doubt()
		}
		p.pace[i].claim = 0
		p.publish(i, now)
	}
}

// remember notes who is a member now and who isn't any more. p.mu is held.
func (p *partitions) remember(v *view, now int64) {
	for b, since := range p.gone {
		switch {
		case since == 0 && v.byID[b] == nil:
			p.gone[b] = gone(max(now, 1))
		case since > 0 && now-int64(since) > int64(goneTime):
			delete(p.gone, b)
		}
	}
	for _, b := range v.boots {
		p.gone[b] = 0
	}
}

// departed reports whether a boot has been a member and is none now. p.mu is held.
func (p *partitions) departed(b handoff.Boot) bool { return p.gone[b] > 0 }

// hasDeparted is departed for those who don't hold p.mu.
func (p *partitions) hasDeparted(b handoff.Boot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.departed(b)
}

// publish lets hits see what has become of a partition. p.mu is held.
func (p *partitions) publish(i int, now int64) {
	part := &p.parts[i]
	p.trails[i].hint.Store(uint64(part.Hint()))
	was, is := p.held[i].Load() != 0, part.State() == handoff.Hold
	if was == is {
		return
	}
	if !is {
		setBit(p.here[:], uint64(i), false)
		p.held[i].Store(0)
		return
	}
	p.pace[i].owed, p.pace[i].told = 0, 0
	p.heard[i] = part.Version()
	p.kept[i].Store(0)
	p.copied[i].Store(0)
	p.held[i].Store(max(now, 1))
	setBit(p.here[:], uint64(i), true)
	close(p.arrived)
	p.arrived = make(chan struct{})
}

// term is the version under which a partition is held here; ok is false if it isn't.
func (p *partitions) term(i int) (v handoff.Version, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parts[i].Version(), p.parts[i].State() == handoff.Hold
}

// holds reports whether the token of a partition is here.
func (p *partitions) holds(i int) bool { return bit(p.here[:], uint64(i)) }

// arrival returns a channel that is closed when tokens have come.
func (p *partitions) arrival() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived
}

// doubtAll stops deciding, until each token has been claimed anew or merged into
// the one that somebody else has made meanwhile.
func (p *partitions) doubtAll(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.Fenced++
	for i := range p.parts {
		p.parts[i].Doubt()
		p.publish(i, now)
	}
}

// allow says whether the node may make tokens.
func (p *partitions) allow(formed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.formed = formed
}

// empty reports whether this replica has neither a token nor the only copy of one.
func (p *partitions) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.parts[:], func(part handoff.Part) bool { return part.State() != handoff.None })
}

// involved reports whether the token of a partition is here, or may be.
func (p *partitions) involved(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parts[i].State() != handoff.None
}
