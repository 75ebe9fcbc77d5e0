package handoff

import "slices"

// Receive handles a message, request or answer alike, and returns the answer to a
// request; answered is false where none is due. The buckets that came with the
// message must have been merged before.
func (p *Part) Receive(v *View, m Message) (answer Message, answered bool) {
	if m.To != v.Self || v.departed(m.From) || p.leaps(m.Version) || p.leaps(m.Fence) {
		return Message{}, false
	}
	answer = Message{From: v.Self, To: m.From, Version: m.Version}
	switch m.Kind {
	case Transfer:
		answer.Kind = p.transferred(v, m)
		answer.Fence, answer.Leaving = p.version, v.Leaving && answer.Kind == Refuse
		return answer, true
	case Claim:
		answer.Kind = p.claimed(v, m)
		answer.Fence = p.version
		return answer, true
	case Copy:
		answer.Kind = CopyAck
		return answer, p.state == Hold
	}
	p.answered(v, m)
	return Message{}, false
}

// Decline is Receive for a message whose sender can't have what it sends, or not the
// right to claim, as far as the caller can tell: a token that this replica doesn't hold
// is turned down, for ever, and no consent given. If the caller is wrong the sender goes
// on holding, and claims again.
func (p *Part) Decline(v *View, m Message) (answer Message, answered bool) {
	if m.Kind == Claim {
		m.View = ^v.Hash
	}
	if m.Kind == Transfer && p.state != Hold && m.To == v.Self && !v.departed(m.From) &&
		!p.leaps(m.Version) && m.Version.After(p.Took(m.From)) {
		p.version, p.fence, p.claim = later(p.version, m.Version), later(p.fence, m.Version), nil
	}
	return p.Receive(v, m)
}

// transferred takes a token, unless it is an old one.
func (p *Part) transferred(v *View, m Message) Kind {
	switch {
	case !m.Version.After(p.Took(m.From)):
		return Ack // a repetition, or older than one
	case p.state == Hold: // two tokens become one
		p.take(m)
		return Ack
	case v.Leaving || !m.Version.After(p.fence):
		if !m.Version.After(p.forgot) {
			return Unsure // its sender was thought to have gone meanwhile
		}
		return Refuse
	default:
		p.take(m)
		p.fence = m.Version
		p.state, p.claim, p.hint = Hold, nil, 0
		return Ack
	}
}

// take notes that a transfer was taken.
func (p *Part) take(m Message) {
	p.version = later(p.version, m.Version)
	i := slices.IndexFunc(p.taken, func(t taken) bool { return t.from == m.From })
	if i < 0 {
		p.taken = append(p.taken, taken{m.From, m.Version})
		return
	}
	p.taken[i].version = m.Version
}

// claimed says whether another may make the token, and promises it.
func (p *Part) claimed(v *View, m Message) Kind {
	switch {
	case p.state == Hold:
		p.version = later(p.version, m.Version)
		return Held
	case p.state == Sending:
		p.version = later(p.version, m.Version)
		return Busy
	case p.version.After(m.Version), p.version == m.Version && m.Version.Boot != m.From:
		return Stale
	case m.View != v.Hash:
		return OtherView
	}
	p.version, p.fence, p.claim = m.Version, m.Version, nil
	return Free
}

// answered handles an answer.
func (p *Part) answered(v *View, m Message) {
	switch m.Kind {
	case Ack:
		if p.state == Sending && p.sent == m.Version {
			p.state = None
		}
	case Refuse:
		p.version = later(p.version, m.Fence)
		if p.state == Sending && p.sent == m.Version {
			p.state, p.hint = Hold, 0
		}
	case Unsure:
		if p.state == Sending && p.sent == m.Version {
			p.state, p.sent = Doubt, p.version
		}
	case CopyAck:
		if p.state == Doubt && p.sent == m.Version {
			p.state, p.hint = None, m.From
		}
	case Free, Held, Busy, Stale, OtherView:
		p.consented(v, m)
	}
}

// consented handles the answer to a claim: one refusal ends the round.
func (p *Part) consented(v *View, m Message) {
	if m.Kind != Free {
		p.version = later(p.version, m.Fence)
	}
	if p.claim == nil || p.claim.version != m.Version {
		return
	}
	switch m.Kind {
	case Free:
		if !slices.Contains(p.claim.free, m.From) {
			p.claim.free = append(p.claim.free, m.From)
		}
		p.complete(v)
		return
	case Held:
		p.hint = m.From
	}
	p.claim = nil
}
