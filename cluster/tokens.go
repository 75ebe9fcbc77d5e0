package cluster

import "github.com/shoal-dev/shoal/handoff"

// message is what boot b has to be told about partition i, if anything. p.mu is
// held.
func (p *partitions) message(i int, b handoff.Boot) (handoff.Message, bool) {
	part := &p.parts[i]
	if m, due := part.Pending(p.view, b, p.owners[i]); due {
		return m, m.Kind != handoff.Claim || p.isTurn(i, b)
	}
	owed := p.pace[i].owed > 0 && part.State() == handoff.None && p.owners[i] == b
	return handoff.Message{Kind: handoff.Copy, From: p.self, To: b}, owed
}

// isTurn reports whether boot b is to be asked for consent to the claim of partition
// i now. The one that owned the partition before this replica came is asked first: it
// most likely has the token, and then the others needn't send what copies they have.
// p.mu is held.
func (p *partitions) isTurn(i int, b handoff.Boot) bool {
	first := p.heirs[i]
	if first == 0 || first == b {
		return true
	}
	_, due := p.parts[i].Pending(p.view, first, p.owners[i])
	return !due
}

// pending is what boot b has to be told about partition i, if anything. The
// buckets that go with it are to be copied afterwards.
func (p *partitions) pending(i int, b handoff.Boot) (handoff.Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, due := p.message(i, b)
	p.pace[i].told = p.pace[i].owed
	return m, due
}

// called notes that the call to a boot has ended.
func (p *partitions) called(b handoff.Boot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calling, b)
}

// receive hands a message to its partition and returns the answer, if one is due.
// The buckets that came with it must have been merged.
func (p *partitions) receive(i int, m handoff.Message, now int64) (answer handoff.Message, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part, pace := &p.parts[i], &p.pace[i]
	held, sending := part.State() == handoff.Hold, part.State() == handoff.Sending
	claiming, took := part.Claiming(), part.Took(m.From)
	if p.unlikely(i, m, now) {
		answer, due = part.Decline(p.view, m)
		p.tally.Declined++
	} else {
		answer, due = part.Receive(p.view, m)
	}
	switch {
	case m.Kind == handoff.CopyAck && pace.owed == pace.told:
		pace.owed, pace.told = 0, 0
	case m.Kind == handoff.Refuse:
		pace.displaced = now
		p.tally.Refused++
	case answer.Kind == handoff.Held && due && p.owners != nil && p.owners[i] == m.From:
		pace.wanted = true
	case answer.Kind == handoff.Ack && held && m.Version.After(took):
		p.tally.Doubled++
	}
	if claiming && !part.Claiming() && part.State() != handoff.Hold {
		pause := claimPause
		if m.Kind == handoff.Held || m.Kind == handoff.Busy {
			pause = heldPause
		}
		pace.claim = inStep(now + int64(jitter(pause)))
	}
	if sending && part.State() == handoff.None {
		p.tally.Sent++
	}
	if part.State() == handoff.Hold {
		if !held && m.Kind == handoff.Transfer {
			p.came[i].Store(uint64(m.From))
			p.tally.Received++
		} else if !held {
			p.came[i].Store(0)
		}
	}
	p.publish(i, now)
	return answer, due
}

// unlikely reports whether no replica that keeps to the protocol would send a message,
// by what is known here: a token of which nobody knows that its sender ever had it, and
// which should go elsewhere from there, or a claim of one that the same table doesn't
// name. Where views have just changed nothing can be told. p.mu is held.
func (p *partitions) unlikely(i int, m handoff.Message, now int64) bool {
	if p.owners == nil {
		return false
	}
	owner, known := p.owners[i], uint64(m.From)
	switch {
	case owner == m.From || owner == 0 || now-p.viewed < int64(unsettledTime):
		return false
	case m.Kind == handoff.Claim:
		return m.View == p.view.Hash
	}
	return m.Kind == handoff.Transfer && owner != p.self && p.parts[i].State() != handoff.Hold &&
		p.trails[i].hint.Load() != known && p.trails[i].former.Load() != known && p.kept[i].Load() != known
}

// owe notes that a hit of a partition was decided here on a copy: whoever holds the
// token has to have it.
func (p *partitions) owe(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parts[i].State() != handoff.Hold {
		p.pace[i].owed++
	}
}
