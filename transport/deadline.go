package transport

import (
	"context"
	"math"
	"slices"
	"time"
)

// grain is how closely two deadlines may follow each other before the sweeper
// treats them as one. Calls end up to a grain early, so that they don't end late.
const grain = int64(time.Millisecond)

// watch makes sure that the sweeper looks no later than expire. p.mu is held.
func (p *Peer) watch(expire int64) {
	if expire >= p.armed {
		return
	}
	p.armed = expire
	select {
	case p.alarm <- struct{}{}:
	default:
	}
}

// sweep ends the calls whose time has come. It sleeps until the earliest
// deadline that anybody waits for, and for good while nobody does: as nearly
// all calls are answered long before, a busy peer wakes it once a deadline's
// length and not once a hit.
func (p *Peer) sweep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.alarm:
		case <-timer.C:
		}
		if rest := p.expireDue(p.config.Now()); rest > 0 {
			timer.Reset(rest)
		}
	}
}

// expireDue ends what is due at now, and returns how long the sweeper may sleep:
// 0 for good.
func (p *Peer) expireDue(now int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed == math.MaxInt64 {
		return 0
	}
	if p.armed > now+grain {
		return time.Duration(p.armed - now - grain)
	}
	earliest := int64(math.MaxInt64)
	for _, b := range p.flights {
		if b.earliest <= now+grain {
			b.earliest = expireCalls(b.calls, now)
		}
		earliest = min(earliest, b.earliest)
	}
	p.armed = min(earliest, expireCalls(p.queue, now))
	p.queue = slices.DeleteFunc(p.queue, func(c *call) bool { return c.ended.Load() })
	if p.armed == math.MaxInt64 {
		return 0
	}
	return time.Duration(p.armed - now - grain)
}

// expireCalls ends the calls that are due and returns the earliest deadline of
// the others.
func expireCalls(calls []*call, now int64) (earliest int64) {
	earliest = math.MaxInt64
	for _, c := range calls {
		switch {
		case c.ended.Load():
		case c.expire <= now+grain:
			c.end(Answer{}, ErrDeadline)
		default:
			earliest = min(earliest, c.expire)
		}
	}
	return earliest
}
