package handoff

import "slices"

// Part is one partition as one replica sees it. The zero value is that of a
// replica that has just started. It is not safe for concurrent use.
type Part struct {
	state   State
	version Version // the highest seen
	fence   Version // no transfer up to this one is taken: the latest promised, taken, made or sent
	sent    Version // Sending: of the transfer; Doubt: of the episode
	to      Boot    // Sending: the receiver
	hint    Boot    // where the token was last known to be; 0 is unknown
	taken   []taken
	forgot  Version // the latest that was in taken and is no more
	claim   *claim
}

// taken is the latest transfer that was taken from a sender.
type taken struct {
	from    Boot
	version Version
}

// claim is a round of asking everybody.
type claim struct {
	version Version
	free    []Boot // who has consented
}

// State returns the replica's relation to the token.
func (p *Part) State() State { return p.state }

// Hint returns who was last known to have the token or to be about to, or 0. It
// is good for routing and says nothing certain.
func (p *Part) Hint() Boot { return p.hint }

// Took returns the version of the latest transfer that was taken from a boot.
func (p *Part) Took(from Boot) Version {
	for _, t := range p.taken {
		if t.from == from {
			return t.version
		}
	}
	return Version{}
}

// Version returns the highest version that was seen. A holder's is higher than that of
// any before it, but for a split.
func (p *Part) Version() Version { return p.version }

// Saw notes a version that came otherwise than by a message, as with the copy of a
// holder: claims are to be later. It reports whether such a version can be.
func (p *Part) Saw(v Version) bool {
	if p.leaps(v) {
		return false
	}
	p.version = later(p.version, v)
	return true
}

// leaps reports whether a version is further from the highest seen than events could
// have brought it, and if so comes a leap nearer: else one message from a replica that
// has gone mad would exhaust the counter for ever. Whoever was led far away by many
// such messages is followed by as many of its own.
func (p *Part) leaps(v Version) bool {
	if v.Counter <= p.version.Counter || v.Counter-p.version.Counter <= maxLeap {
		return false
	}
	p.version = Version{Counter: p.version.Counter + maxLeap}
	return true
}

// maxLeap is more than the events of a partition in many years.
const maxLeap = 1 << 32

// Claiming reports whether a round of asking is under way.
func (p *Part) Claiming() bool { return p.claim != nil }

// Release gives the token to another boot: no hit may be debited from now on, and
// the state is sent by Pending's message until it is answered. It does nothing
// unless the token is here.
func (p *Part) Release(v *View, to Boot) {
	if p.state != Hold || to == v.Self || to == 0 {
		return
	}
	p.version = Version{p.version.Counter + 1, to}
	p.fence = p.version
	p.state, p.sent, p.to, p.hint = Sending, p.version, to, to
}

// StartClaim begins to ask everybody whether the token may be made here. Only the
// owner that the table names should ask, or claims outbid each other for ever.
// In a view of this replica alone the token is here at once.
func (p *Part) StartClaim(v *View) {
	if v.Leaving || p.state != None && p.state != Doubt {
		return
	}
	p.version = Version{p.version.Counter + 1, v.Self}
	p.claim = &claim{version: p.version}
	p.complete(v)
}

// Doubt is for a replica that doesn't know what has become of the cluster
// meanwhile, as after a suspension: it no longer decides, and either claims the
// token or hands its copy to whoever holds it now.
func (p *Part) Doubt() {
	if p.state == Hold {
		p.state, p.sent = Doubt, p.version
	}
}

// ViewChanged must be called after every change of the members.
func (p *Part) ViewChanged(v *View) {
	p.claim = nil
	if v.departed(p.hint) {
		p.hint = 0
	}
	if p.state == Sending && v.departed(p.to) {
		p.state, p.sent = Doubt, p.version
	}
	p.taken = slices.DeleteFunc(p.taken, func(t taken) bool {
		departed := v.departed(t.from)
		if departed {
			p.forgot = later(p.forgot, t.version)
		}
		return departed
	})
}

// Pending returns the message that a boot has to be told now, if any, where owner
// is the one that the table names. Its answer goes to Receive; until there is one
// the message is due again.
func (p *Part) Pending(v *View, to, owner Boot) (Message, bool) {
	m := Message{From: v.Self, To: to, Version: p.sent}
	switch {
	case to == v.Self:
		return Message{}, false
	case p.state == Sending && p.to == to:
		m.Kind = Transfer
	case p.claim != nil && slices.Contains(v.Members, to) && !slices.Contains(p.claim.free, to):
		m.Kind, m.Version, m.View = Claim, p.claim.version, v.Hash
	case p.state == Doubt && owner == to:
		m.Kind = Copy
	default:
		return Message{}, false
	}
	return m, true
}

// Force counts a member as having consented that has been silent for so long that
// one dead link must not block everybody for ever. It has the bound of a split:
// the member may hold the token. It reports whether a round still waited for it.
func (p *Part) Force(v *View, silent Boot) bool {
	if p.claim == nil || slices.Contains(p.claim.free, silent) || !slices.Contains(v.Members, silent) {
		return false
	}
	p.claim.free = append(p.claim.free, silent)
	p.complete(v)
	return true
}

// complete makes the token if everybody has consented.
func (p *Part) complete(v *View) {
	for _, b := range v.Members {
		if b != v.Self && !slices.Contains(p.claim.free, b) {
			return
		}
	}
	p.fence = p.claim.version
	p.state, p.claim, p.hint = Hold, nil, 0
}
