package cluster

import (
	"cmp"
	"math/rand/v2"
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
	// held says for each partition whether its token is here. It is written under
	// mu and read by hits under their bucket's lock.
	held [ring.Partitions]atomic.Bool
	// bereaved says that the holder has gone without handing over, so the copy here
	// may be the best there is.
	bereaved [ring.Partitions]atomic.Bool
	// hints are where the tokens of others were last known to be; 0 is unknown.
	hints [ring.Partitions]atomic.Uint64

	mu      sync.Mutex
	parts   [ring.Partitions]handoff.Part
	pace    [ring.Partitions]pace
	view    *handoff.View
	owners  []handoff.Boot        // by partition; nil before the first view
	known   map[handoff.Boot]bool // boots that have been members; false: and are none now
	calling map[handoff.Boot]bool // who is being called
	arrived chan struct{}         // closed, and replaced, when tokens have come
	formed  bool                  // may make tokens
	leavers map[handoff.Boot]bool // boots that said that they leave
}

// pace is when the next step of a partition is due.
type pace struct {
	claim     int64 // not before
	displaced int64 // since when the table has named another; 0 if it doesn't
	wanted    bool  // the one that the table names has asked for the token
	owed      bool  // hits were decided here on a copy: the holder must have it
}

func newPartitions(self handoff.Boot) *partitions {
	return &partitions{
		self:    self,
		view:    &handoff.View{Self: self},
		known:   map[handoff.Boot]bool{},
		calling: map[handoff.Boot]bool{},
		arrived: make(chan struct{}),
		leavers: map[handoff.Boot]bool{},
	}
}

// bootID is the short form of a boot's name.
func bootID(boot string) handoff.Boot { return handoff.Boot(xxhash.Sum64String(boot)) }

// holdAll takes every token: there is nobody else, nor ever will be.
func (p *partitions) holdAll() {
	for i := range p.held {
		p.held[i].Store(true)
	}
}

// see makes v the view by which tokens move.
func (p *partitions) see(v *view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for b := range p.known {
		p.known[b] = false
	}
	members := make([]handoff.Boot, len(v.members))
	for i, m := range v.members {
		members[i] = m.id
		p.known[m.id] = true
		if m.leaving {
			p.leavers[m.id] = true
		}
	}
	slices.Sort(members)
	present := v.byID[p.self] != nil
	p.view = &handoff.View{
		Self:     p.self,
		Members:  members,
		Leaving:  !present || v.byID[p.self].leaving,
		Hash:     hashBoots(members),
		Departed: p.departed,
	}
	former := p.owners
	p.owners = v.bootOwners()
	for i := range p.parts {
		if former != nil {
			p.mourn(i, former[i])
		}
		p.parts[i].ViewChanged(p.view)
		if !present { // another boot has this one's name
			p.parts[i].Doubt()
		}
		p.pace[i].claim = 0
		p.publish(i)
	}
}

// mourn notes that the holder of a partition has gone unexpectedly.
func (p *partitions) mourn(i int, owner handoff.Boot) {
	holder := cmp.Or(p.parts[i].Hint(), owner)
	if p.parts[i].State() != handoff.Hold && holder != p.self && p.departed(holder) && !p.leavers[holder] {
		p.bereaved[i].Store(true)
	}
}

// departed reports whether a boot has been a member and is none now. p.mu is held.
func (p *partitions) departed(b handoff.Boot) bool {
	living, known := p.known[b]
	return known && !living
}

func hashBoots(boots []handoff.Boot) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, b := range boots {
		var bytes [8]byte
		for i := range bytes {
			bytes[i] = byte(b >> (8 * i))
		}
		_, _ = d.Write(bytes[:])
	}
	return d.Sum64()
}

// publish lets hits see what has become of a partition. p.mu is held.
func (p *partitions) publish(i int) {
	part := &p.parts[i]
	hold := part.State() == handoff.Hold
	p.hints[i].Store(uint64(part.Hint()))
	if hold || part.Hint() != 0 {
		p.bereaved[i].Store(false)
	}
	if p.held[i].Swap(hold) != hold && hold {
		close(p.arrived)
		p.arrived = make(chan struct{})
	}
}

// arrival returns a channel that is closed when tokens have come.
func (p *partitions) arrival() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.arrived
}

// viewHash identifies the members that are seen here.
func (p *partitions) viewHash() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view.Hash
}

// doubtAll stops deciding, until each token has been claimed anew or merged into
// the one that somebody else has made meanwhile.
func (p *partitions) doubtAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.parts {
		p.parts[i].Doubt()
		p.publish(i)
	}
}

// count returns how many partitions are in each state, and how many of those that
// the table gives to this node are not held.
func (p *partitions) count() (states [4]int, missing int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.parts {
		s := p.parts[i].State()
		states[s]++
		if s != handoff.Hold && p.owners != nil && p.owners[i] == p.self {
			missing++
		}
	}
	return states, missing
}

const (
	// claimPause is how long a claim that was turned down waits, ± 50 %.
	claimPause = 50 * time.Millisecond
	// displacedTime is how long the table must have named another before the token
	// goes there unasked: after a split both sides may hold it, and ask for nothing.
	displacedTime = 250 * time.Millisecond
	// releaseAtOnce bounds the tokens on their way to one replica, so that each is
	// under way for no longer than its batch.
	releaseAtOnce = 32
	claimAtOnce   = 512
)

// step starts what is due at now, and returns whom to call with what. reachable
// says who can be given a token at all.
func (p *partitions) step(now int64, reachable func(handoff.Boot) bool) map[handoff.Boot][]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners == nil {
		return nil
	}
	released := map[handoff.Boot]int{}
	for i := range p.parts {
		if p.parts[i].State() == handoff.Sending {
			released[p.owners[i]]++
		}
	}
	for i := range p.parts {
		p.stepOne(i, now, released, reachable)
	}
	calls := map[handoff.Boot][]int{}
	for _, b := range p.view.Members {
		if b == p.self || p.calling[b] {
			continue
		}
		for i := range p.parts {
			if p.due(i, b) && len(calls[b]) < claimAtOnce {
				calls[b] = append(calls[b], i)
			}
		}
		if len(calls[b]) > 0 {
			p.calling[b] = true
		}
	}
	return calls
}

// due reports whether boot b has to be told something about partition i.
func (p *partitions) due(i int, b handoff.Boot) bool {
	part := &p.parts[i]
	if part.State() == handoff.None && !part.Claiming() {
		return p.pace[i].owed && p.owners[i] == b
	}
	_, due := part.Pending(p.view, b, p.owners[i])
	return due
}

// stepOne releases or claims one partition, if it is time to.
func (p *partitions) stepOne(i int, now int64, released map[handoff.Boot]int, reachable func(handoff.Boot) bool) {
	part, pace, owner := &p.parts[i], &p.pace[i], p.owners[i]
	switch {
	case part.State() == handoff.Hold && owner != p.self && owner != 0:
		if pace.displaced == 0 {
			pace.displaced = now
		}
		due := p.view.Leaving || reachable(owner) && (pace.wanted || now-pace.displaced >= int64(displacedTime))
		if due && !p.calling[owner] && released[owner] < releaseAtOnce {
			released[owner]++
			part.Release(p.view, owner)
			p.publish(i)
		}
	case owner == p.self && p.formed && !part.Claiming() && now >= pace.claim:
		part.StartClaim(p.view)
		p.publish(i)
		*pace = settledPace(*pace, part)
	default:
		*pace = settledPace(*pace, part)
	}
}

// settledPace forgets what was due of a token that has gone or may stay.
func settledPace(last pace, part *handoff.Part) pace {
	return pace{claim: last.claim, owed: last.owed && part.State() != handoff.Hold}
}

// allow says whether the node may make tokens.
func (p *partitions) allow(formed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.formed = formed
}

// called notes that the call to a boot has ended.
func (p *partitions) called(b handoff.Boot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calling, b)
}

// pending is the message that boot b has to be told about partition i.
func (p *partitions) pending(i int, b handoff.Boot) (handoff.Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part, pace := &p.parts[i], &p.pace[i]
	if m, due := part.Pending(p.view, b, p.owners[i]); due {
		return m, true
	}
	if pace.owed && part.State() == handoff.None && p.owners[i] == b {
		return handoff.Message{Kind: handoff.Copy, From: p.self, To: b}, true
	}
	return handoff.Message{}, false
}

// receive hands a message to its partition and returns the answer, if one is due.
func (p *partitions) receive(i int, m handoff.Message, now int64) (answer handoff.Message, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part, pace := &p.parts[i], &p.pace[i]
	claiming := part.Claiming()
	answer, due = part.Receive(p.view, m)
	switch {
	case m.Kind == handoff.CopyAck:
		pace.owed = false
	case m.Kind == handoff.Refuse:
		pace.displaced = now
	case answer.Kind == handoff.Held && due && p.owners != nil && p.owners[i] == m.From:
		pace.wanted = true
	}
	if claiming && !part.Claiming() && part.State() != handoff.Hold {
		pace.claim = now + int64(jitter(claimPause))
	}
	p.publish(i)
	return answer, due
}

// hasDeparted reports whether a boot has been a member and is none now.
func (p *partitions) hasDeparted(b handoff.Boot) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.departed(b)
}

// owe notes that hits of a partition were decided here on a copy: whoever holds the
// token has to have it.
func (p *partitions) owe(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace[i].owed = true
}

// jitter spreads a delay by half of it each way.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// warm reports whether every partition that the table gives to this node is here.
func (p *partitions) warm() bool {
	_, missing := p.count()
	return missing == 0
}
