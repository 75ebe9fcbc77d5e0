package transport

import (
	"context"
	"math"
	"time"
)

// grain is how closely two deadlines may follow each other before the sweeper
// treats them as one. Calls end up to a grain early, so that they don't end late.
const grain = int64(time.Millisecond)

// watch makes sure that the sweeper looks no later than a grain before at. p.mu is
// held.
func (p *Peer) watch(at int64) {
	if at >= p.armed {
		return
	}
	p.armed = at
	select {
	case p.alarm <- struct{}{}:
	default:
	}
}

// rearm is watch for the sweeper itself, which needs no alarm. p.mu is held.
func (p *Peer) rearm(at int64) { p.armed = min(p.armed, at) }

// sweep ends the calls whose time has come, sends heartbeats, and notices silence.
// It sleeps until the earliest time at which one of them may be due: as nearly all
// calls are answered long before, a busy peer wakes it once a deadline's length and
// not once a hit.
func (p *Peer) sweep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := p.config.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.alarm:
		case <-timer.C:
		}
		now := p.config.Now()
		if now-due > p.silence/2 {
			p.stoodStill(now)
		}
		rest, hangUp := p.look(now)
		due = math.MaxInt64
		if hangUp != nil {
			hangUp()
		}
		if rest > 0 {
			due = now + int64(rest)
			timer.Reset(rest)
		}
	}
}

// look does what is due at now, and returns how long the sweeper may sleep, 0 for
// good, and what ends a stream that has been silent for too long.
func (p *Peer) look(now int64) (rest time.Duration, hangUp func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed <= now+grain {
		p.armed = math.MaxInt64
		p.expireDue(now)
		hangUp = p.suspect(now)
		p.beatIfDue(now)
		p.pump()
	}
	if p.armed == math.MaxInt64 {
		return 0, hangUp
	}
	return time.Duration(p.armed - now - grain), hangUp
}

// expireDue ends the calls that are due at now. p.mu is held.
func (p *Peer) expireDue(now int64) {
	for _, frames := range [...][]*batch{p.flights, p.again} {
		for _, b := range frames {
			if b.earliest <= now+grain {
				b.earliest = expireCalls(b.calls, now)
			}
			p.rearm(b.earliest)
		}
	}
	p.rearm(expireCalls(p.queue.heads, now))
	p.queue.prune()
}

// expireCalls ends the calls that are due and returns the earliest deadline of
// the others.
func expireCalls(calls []*Call, now int64) (earliest int64) {
	earliest = math.MaxInt64
	for _, first := range calls {
		for c := first; c != nil; c = c.next {
			switch {
			case c.ended.Load():
			case c.expire <= now+grain:
				c.fail(ErrDeadline)
			default:
				earliest = min(earliest, c.expire)
			}
		}
	}
	return earliest
}
