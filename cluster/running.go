package cluster

import (
	"context"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

const (
	// slotRetry is how long a claim that nobody could answer waits.
	slotRetry = 5 * time.Millisecond
	// slotTick is how often it is looked what must be repeated.
	slotTick = 250 * time.Millisecond
)

// running is the requests of one key that run on this replica under a concurrency
// limit. inflight.mu guards it.
type running struct {
	digest  bucket.Digest
	limit   int64
	count   int64     // that run
	told    int64     // what the holder last heard of it; unheard if that isn't known
	renew   int64     // when to tell it again
	waiting []*ticket // that want to start, first come first served
	asking  bool      // a claim is on its way
	asked   int64     // for so many more, which may be granted already
	hint    handoff.Boot
	ended   []chan struct{} // of those that have ended: closed when the holder knows
	telling []chan struct{} // the same, where the claim that is on its way tells it
}

// unheard is what the holder has heard if an answer got lost.
const unheard = -1

// ticket is one request that waits for a slot.
type ticket struct {
	done chan struct{} // closed when the rest is set
	ok   bool
	left int64 // slots that are free afterwards
}

// due reports whether the holder has to be told something.
func (r *running) due(now int64) bool {
	return !r.asking && (len(r.waiting) > 0 || r.count != r.told || now >= r.renew && r.count > 0)
}

// keepSlots tells the holders what runs here, until ctx is done.
func (n *Node) keepSlots(ctx context.Context) {
	ticker := time.NewTicker(slotTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.inflight.forget(n.now(), n.parts.involved)
			n.inflight.review()
		case <-n.slotsDue:
		}
		for m, claims := range n.claims(n.now()) {
			if m.peer == nil {
				n.claimHere(claims)
			} else {
				n.once("claiming slots", func() { n.claimThere(ctx, m, claims) })
			}
		}
	}
}

// kickSlots has keepSlots look now.
func (n *Node) kickSlots() {
	select {
	case n.slotsDue <- struct{}{}:
	default:
	}
}

// review has all keys looked at.
func (f *inflight) review() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for d := range f.own {
		f.due[d] = true
	}
}

// claims are the claims that are due, by the member that should answer them.
func (n *Node) claims(now int64) map[*member][]claim {
	f, v := n.inflight, n.view.Load()
	due := map[*member][]claim{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for d := range f.due {
		r := f.own[d]
		if r == nil || !r.due(now) {
			delete(f.due, d)
			continue
		}
		m := v.byID[r.hint]
		if m == nil {
			m = n.holder(v, ring.Partition(d.Hi))
		}
		if len(due[m]) == maxClaims {
			n.kickSlots()
			continue
		}
		delete(f.due, d)
		f.seq++
		r.asking, r.asked, r.hint = true, int64(len(r.waiting)), 0
		r.telling, r.ended = append(r.telling, r.ended...), nil
		due[m] = append(due[m], claim{d, r.limit, r.count, r.asked, f.seq})
	}
	return due
}

// claimHere answers claims whose token should be here. Grant and start are one step
// to others, whose claims count what runs here.
func (n *Node) claimHere(claims []claim) {
	for _, c := range claims {
		n.claimAgain(n.grantHere(c))
	}
}

func (n *Node) grantHere(c claim) (again, held bool) {
	n.inflight.mu.Lock()
	defer n.inflight.mu.Unlock()
	g, held := n.grant(0, c, n.now())
	return n.inflight.settle(c, reply{grant: g, held: held}, n.now()), held
}

// settled is settle, under the lock.
func (f *inflight) settled(c claim, a reply, now int64) (again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settle(c, a, now)
}

// claimThere has claims answered by another replica.
func (n *Node) claimThere(ctx context.Context, m *member, claims []claim) {
	batch := make([]byte, 0, len(claims)*claimRecord)
	for _, c := range claims {
		batch = appendClaim(batch, c)
	}
	answers, err := callFor(ctx, m.peer, callSlots, batch)
	ok := err == nil && len(answers) == len(claims)*grantRecord
	if !ok {
		n.config.Log.Debug("can't claim slots", "peer", m.name, "error", err)
	}
	for i, c := range claims {
		answer := reply{lost: true}
		if ok {
			answer = readGrant(answers[i*grantRecord:])
		}
		n.claimAgain(n.inflight.settled(c, answer, n.now()), answer.held)
	}
}

// claimAgain has keepSlots look for what is left to be told: at once, or in a moment
// if there was no answer.
func (n *Node) claimAgain(again, held bool) {
	switch {
	case again && held:
		n.kickSlots()
	case again:
		time.AfterFunc(slotRetry, n.kickSlots)
	}
}

// settle takes the answer to a claim: of those that waited, in their order, as many
// start as were granted. If the token wasn't there the claim is made again. again says
// that there is more to be told. f.mu is held.
func (f *inflight) settle(c claim, a reply, now int64) (again bool) {
	r := f.own[c.digest]
	if r == nil {
		return false
	}
	r.asking, r.asked = false, 0
	switch {
	case a.held:
		r.start(c, a.grant)
		r.renew = now + int64(slotRenewal)
	case a.lost && c.want > 0:
		r.told = unheard // it may have been granted
	default:
		r.hint = a.hint
	}
	f.tidy(r)
	if again = r.due(now); again {
		f.due[c.digest] = true
	}
	return again
}

// start lets those that waited go on, or tells them that they can't.
func (r *running) start(c claim, g grant) {
	asked := r.waiting[:min(int(c.want), len(r.waiting))]
	r.waiting = r.waiting[len(asked):]
	r.told = c.have + g.granted
	closeAll(&r.telling)
	for i, t := range asked {
		if t.ok = int64(i) < g.granted; t.ok {
			r.count++
		}
		t.left = max(0, c.limit-r.told-g.others)
		close(t.done)
	}
}

// tidy forgets a key of which nothing runs, waits or is unknown to the holder.
func (f *inflight) tidy(r *running) {
	if r.count == 0 && r.told == 0 && !r.asking && len(r.waiting) == 0 {
		delete(f.own, r.digest)
		closeAll(&r.telling)
		closeAll(&r.ended)
	}
}

// closeAll closes the channels and forgets them.
func closeAll(cs *[]chan struct{}) {
	for _, c := range *cs {
		close(c)
	}
	*cs = nil
}
