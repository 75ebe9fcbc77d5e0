package cluster

import (
	"testing"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// claimant is a replica, 1 of 1, 2 and 3, that owns every partition and has none. The
// one that would own them without it, and most likely has them, is 2.
func claimant() *partitions {
	p := newPartitions(1)
	p.view = &handoff.View{Self: 1, Members: []handoff.Boot{1, 2, 3}, Hash: 9}
	p.owners, p.heirs = make([]handoff.Boot, ring.Partitions), make([]handoff.Boot, ring.Partitions)
	for i := range p.owners {
		p.owners[i], p.heirs[i] = 1, 2
	}
	p.formed = true
	return p
}

func everybody(handoff.Boot) bool { return true }

// Whoever most likely has the token is asked first, and the others only when it hasn't.
func TestTheFormerOwnerIsAskedFirst(t *testing.T) {
	p := claimant()
	if calls := p.step(0, 0, everybody); len(calls) != 1 || len(calls[2]) != claimAtOnce {
		t.Fatalf("calls %d boots at first, and 2 about %d partitions", len(calls), len(calls[2]))
	}
	p.called(2)
	claim, due := p.pending(0, 2)
	if !due || claim.Kind != handoff.Claim {
		t.Fatalf("tells 2: %+v, %v", claim, due)
	}
	p.receive(0, handoff.Message{Kind: handoff.Free, From: 2, To: 1, Version: claim.Version}, 1)
	if calls := p.step(1, 0, everybody); len(calls[3]) != 1 || calls[3][0] != 0 {
		t.Errorf("asks 3 about %v", calls[3])
	}
	p.receive(0, handoff.Message{Kind: handoff.Free, From: 3, To: 1, Version: claim.Version}, 2)
	if !p.holds(0) {
		t.Error("all have consented, and the token isn't here")
	}
}

// A token that somebody has comes unasked: a claim that meets it on its way would have
// it refused.
func TestNoClaimMeetsATokenOnItsWay(t *testing.T) {
	for _, kind := range []handoff.Kind{handoff.Held, handoff.Busy} {
		p := claimant()
		p.step(0, 0, everybody)
		claim, _ := p.pending(0, 2)
		p.receive(0, handoff.Message{Kind: kind, From: 2, To: 1, Version: claim.Version, Fence: claim.Version}, 0)
		p.step(int64(heldPause)/2, 0, everybody)
		if p.parts[0].Claiming() {
			t.Errorf("%d: claims again before half of the pause is over", kind)
		}
		p.step(2*int64(heldPause), 0, everybody)
		if !p.parts[0].Claiming() {
			t.Errorf("%d: doesn't claim again", kind)
		}
	}
}
