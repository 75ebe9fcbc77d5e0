package transport

import "time"

const (
	// defaultSilence is PeerConfig.Silence where that is 0.
	defaultSilence = 100 * time.Millisecond

	// deadSilences is after how many times Silence a peer doesn't count as alive.
	deadSilences = 3

	// hangUpTime is how long a stream may be silent before it is given up.
	hangUpTime = int64(2 * time.Second)
)

// Alive reports whether there is a stream to the peer on which it has left nothing
// unanswered for three times PeerConfig.Silence: where hits fail because it has been
// silent for a moment, it still may be there.
func (p *Peer) Alive() bool {
	now := p.config.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	since, owes := p.silentSince()
	return p.state == connected && !(owes && now-since > deadSilences*p.silence)
}

// silentSince returns since when the peer has said nothing though it owes an answer,
// to a frame or to a heartbeat. p.mu is held.
func (p *Peer) silentSince() (since int64, owes bool) {
	switch {
	case len(p.flights) > 0 && p.beating:
		since = min(p.flights[0].sent, p.beaten.at)
	case len(p.flights) > 0:
		since = p.flights[0].sent
	case p.beating:
		since = p.beaten.at
	default:
		return 0, false
	}
	return max(since, p.heard), true
}

// hear notes a sign of life. p.mu is held.
func (p *Peer) hear(now int64) { p.heard, p.silent = now, false }

// suspect fails the hits that wait, and those to come, while the peer is silent. It
// returns what ends the stream where that has lasted for too long. p.mu is held.
func (p *Peer) suspect(now int64) (hangUp func()) {
	since, owes := p.silentSince()
	if !owes || p.hangUp == nil {
		return nil
	}
	if now-since < p.silence {
		p.rearm(since + p.silence + grain)
		return nil
	}
	if !p.silent {
		p.silent = true
		p.config.Meter.silent.Add(1)
		p.failQueue(ErrUnavailable)
	}
	if patience := max(hangUpTime, p.silence); now-since < patience {
		p.rearm(since + patience + grain)
		return nil
	}
	return p.takeHangUp()
}

// stoodStill has the silence of the peer count from now: it was this process that
// didn't run, so an answer may lie here unread.
func (p *Peer) stoodStill(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = now
}

// takeHangUp returns what ends the stream, for once. p.mu is held.
func (p *Peer) takeHangUp() (hangUp func()) {
	hangUp, p.hangUp = p.hangUp, nil
	return hangUp
}
