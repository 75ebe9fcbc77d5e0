package cluster

import (
	"math/rand/v2"
	"time"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

const (
	// claimPause is how long a claim that was turned down waits, ± 50 %: until the
	// next beat, as views that differed will mostly agree by then. heldPause is it where
	// somebody has the token: it comes unasked, and a claim that meets it on its way has
	// it refused.
	claimPause = 20 * time.Millisecond
	heldPause  = time.Second
	// displacedTime is how long the table must have named another before the token
	// goes there unasked: after a split both sides may hold it, and ask for nothing.
	displacedTime = 250 * time.Millisecond
	// releaseEntries bounds the buckets on their way to one replica, so that each is
	// under way for no longer than its batch, and after each batch moveTime for each
	// byte of it belongs to the hits again: 5 MB/s. A leaver is in a hurry. But
	// minAtOnce tokens go at once however full they are, and no more than maxAtOnce.
	releaseEntries = 2000
	leaveEntries   = 8000
	minAtOnce      = 8
	maxAtOnce      = 256
	moveTime       = 200 * time.Nanosecond
	claimAtOnce    = 512
)

// pace is when the next step of a partition is due.
type pace struct {
	claim     int64 // not before
	displaced int64 // since when the table has named another; 0 if it doesn't
	wanted    bool  // the one that the table names has asked for the token
	owed      int   // hits that were decided here on a copy: the holder must have it
	told      int   // how many of them were in the copy that was last sent
}

// step starts what is due at now, and returns whom to call about which partitions.
// reachable says who can be given a token at all, and entries how many buckets there
// are here.
func (p *partitions) step(now int64, entries int, reachable func(handoff.Boot) bool) map[handoff.Boot][]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners == nil {
		return nil
	}
	room := p.room(entries)
	var restless []int
	for i := range p.parts {
		p.stepOne(i, now, room, reachable)
		if p.restless(i) {
			restless = append(restless, i)
		}
	}
	return p.calls(restless)
}

// room returns what says whether one more token may be sent to an owner, and counts
// it then. p.mu is held.
func (p *partitions) room(entries int) func(owner handoff.Boot) bool {
	most := releaseEntries
	if p.view.Leaving {
		most = leaveEntries
	}
	atOnce := min(max(most/(entries/ring.Partitions+1), minAtOnce), maxAtOnce)
	var sending map[handoff.Boot]int // nil until somebody asks: at rest nobody does
	return func(owner handoff.Boot) bool {
		if sending == nil {
			sending = p.sending()
		}
		if p.calling[owner] || sending[owner] >= atOnce {
			return false
		}
		sending[owner]++
		return true
	}
}

// sending is how many tokens are on their way to each owner. p.mu is held.
func (p *partitions) sending() map[handoff.Boot]int {
	sending := map[handoff.Boot]int{}
	for i := range p.parts {
		if p.parts[i].State() == handoff.Sending {
			sending[p.owners[i]]++
		}
	}
	return sending
}

// restless reports whether there is anybody to be told anything about partition i.
func (p *partitions) restless(i int) bool {
	switch p.parts[i].State() {
	case handoff.Hold:
		return false
	case handoff.None:
		return p.parts[i].Claiming() || p.pace[i].owed > 0
	}
	return true
}

// calls sorts out who must be told about which of the restless partitions, and
// isn't being called already.
func (p *partitions) calls(restless []int) map[handoff.Boot][]int {
	calls := map[handoff.Boot][]int{}
	if len(restless) == 0 {
		return calls
	}
	for _, b := range p.view.Members {
		if b == p.self || p.calling[b] {
			continue
		}
		for _, i := range restless {
			if _, due := p.message(i, b); due && len(calls[b]) < claimAtOnce {
				calls[b] = append(calls[b], i)
			}
		}
		if len(calls[b]) > 0 {
			p.calling[b] = true
		}
	}
	return calls
}

// stepOne releases or claims one partition, if it is time to.
func (p *partitions) stepOne(i int, now int64, room, reachable func(handoff.Boot) bool) {
	part, pace, owner := &p.parts[i], &p.pace[i], p.owners[i]
	if part.State() != handoff.Hold || owner == p.self || owner == 0 {
		pace.displaced, pace.wanted = 0, false
		if owner == p.self && p.formed && !part.Claiming() && now >= pace.claim {
			part.StartClaim(p.view)
			p.publish(i, now)
		}
		return
	}
	if pace.displaced == 0 {
		pace.displaced = now
	}
	due := p.view.Leaving || reachable(owner) && (pace.wanted || now-pace.displaced >= int64(displacedTime))
	if due && room(owner) {
		part.Release(p.view, owner)
		p.publish(i, now)
	}
}

// force has a member that has been silent for long counted as consenting to every
// claim that still waits for it, and returns how many did.
func (p *partitions) force(silent handoff.Boot, now int64) (forced int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.parts {
		if p.parts[i].Force(p.view, silent) {
			p.publish(i, now)
			forced++
		}
	}
	p.tally.Forced += int64(forced)
	return forced
}

// inStep is the next of the times, one in each beat, at which claims begin again: so
// those of many partitions go in one call.
func inStep(at int64) int64 { return (at/int64(beat) + 1) * int64(beat) }

// jitter spreads a delay by half of it each way.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
