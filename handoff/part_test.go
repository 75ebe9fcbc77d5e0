package handoff

import (
	"reflect"
	"testing"
)

func gone(b ...Boot) func(Boot) bool {
	return func(other Boot) bool {
		for _, x := range b {
			if x == other {
				return true
			}
		}
		return false
	}
}

// TestOwnSteps has a row for each transition that isn't caused by a message.
func TestOwnSteps(t *testing.T) {
	alone := &View{Self: 2, Members: []Boot{2}, Departed: gone(1)}
	held := Part{state: Hold, version: at(3, 1), fence: at(3, 1)}
	sending := Part{state: Sending, version: at(4, 1), fence: at(4, 1), sent: at(4, 1), to: 1, hint: 1}
	running := Part{version: at(3, 2), claim: &claim{version: at(3, 2)}}
	release := func(to Boot) func(*Part) { return func(p *Part) { p.Release(pair(), to) } }
	start := func(v *View) func(*Part) { return func(p *Part) { p.StartClaim(v) } }
	change := func(v *View) func(*Part) { return func(p *Part) { p.ViewChanged(v) } }
	force := func(b Boot, want bool) func(*Part) {
		return func(p *Part) {
			if got := p.Force(pair(), b); got != want {
				t.Errorf("Force(%d) = %v, want %v", b, got, want)
			}
		}
	}
	for _, c := range []struct {
		event  string
		before Part
		do     func(*Part)
		after  Part
	}{
		{"release", held, release(1), sending},
		{"release to itself", held, release(2), held},
		{"release to nobody", held, release(0), held},
		{"release of what isn't here", Part{}, release(1), Part{}},
		{"release of what was sent", sending, release(3), sending},

		{"claim", Part{version: at(2, 1), fence: at(2, 1)}, start(pair()),
			Part{version: at(3, 2), fence: at(2, 1), claim: &claim{version: at(3, 2)}}},
		{"claim in doubt", Part{state: Doubt, version: at(2, 1), sent: at(2, 1)}, start(pair()),
			Part{state: Doubt, version: at(3, 2), sent: at(2, 1), claim: &claim{version: at(3, 2)}}},
		{"claim while alone", Part{hint: 1}, start(alone), Part{state: Hold, version: at(1, 2), fence: at(1, 2)}},
		{"claim while holding", held, start(pair()), held},
		{"claim while sending", sending, start(pair()), sending},
		{"claim while leaving", Part{}, start(leavingPair()), Part{}},

		{"doubt while holding", held, (*Part).Doubt, Part{state: Doubt, version: at(3, 1), fence: at(3, 1), sent: at(3, 1)}},
		{"doubt while sending", sending, (*Part).Doubt, sending},
		{"doubt while claiming", running, (*Part).Doubt, running},

		{"view voids a claim", running, change(pair()), Part{version: at(3, 2)}},
		{"receiver departs", sending, change(alone),
			Part{state: Doubt, version: at(4, 1), fence: at(4, 1), sent: at(4, 1), to: 1}},
		{"another departs", sending, change(&View{Self: 2, Departed: gone(3)}), sending},
		{"sender of old departs", Part{taken: []taken{{1, at(4, 2)}, {3, at(3, 2)}, {4, at(2, 2)}}}, change(&View{Self: 2, Departed: gone(1, 3)}),
			Part{taken: []taken{{4, at(2, 2)}}, forgot: at(4, 2)}},

		{"force", running, force(1, true), Part{state: Hold, version: at(3, 2), fence: at(3, 2)}},
		{"force of a stranger", running, force(3, false), running},
		{"force without a claim", Part{}, force(1, false), Part{}},
		{"force of one who has consented", with(running, func(p *Part) { p.claim.free = []Boot{1} }), force(1, false),
			with(running, func(p *Part) { p.claim.free = []Boot{1} })},
	} {
		t.Run(c.event, func(t *testing.T) {
			p := copied(c.before)
			c.do(&p)
			if !reflect.DeepEqual(copied(p), copied(c.after)) {
				t.Errorf("the partition is %+v, want %+v", p, c.after)
			}
			if p.Claiming() != (c.after.claim != nil) || p.Hint() != c.after.hint {
				t.Errorf("claiming %v, hint %d", p.Claiming(), p.Hint())
			}
		})
	}
}

// TestPending has a row for each message that is due by itself.
func TestPending(t *testing.T) {
	three := &View{Self: 2, Members: []Boot{1, 2, 3}, Hash: 123}
	sending := Part{state: Sending, version: at(7, 1), sent: at(4, 1), to: 1}
	doubt := Part{state: Doubt, version: at(7, 1), sent: at(4, 1)}
	claiming := Part{state: Doubt, version: at(5, 2), sent: at(4, 1), claim: &claim{version: at(5, 2), free: []Boot{3}}}
	for _, c := range []struct {
		name      string
		p         Part
		to, owner Boot
		want      Message
	}{
		{"transfer", sending, 1, 1, Message{Kind: Transfer, Version: at(4, 1)}},
		{"transfer, owned by another meanwhile", sending, 1, 3, Message{Kind: Transfer, Version: at(4, 1)}},
		{"nothing to a third", sending, 3, 3, Message{}},
		{"claim", claiming, 1, 2, Message{Kind: Claim, Version: at(5, 2), View: 123}},
		{"no claim to one that has consented", claiming, 3, 2, Message{}},
		{"no claim to a stranger", claiming, 4, 2, Message{}},
		{"nothing to itself", claiming, 2, 2, Message{}},
		{"copy", doubt, 3, 3, Message{Kind: Copy, Version: at(4, 1)}},
		{"no copy to another", doubt, 1, 3, Message{}},
		{"nothing from the holder", Part{state: Hold}, 1, 1, Message{}},
		{"nothing at rest", Part{}, 1, 1, Message{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, due := c.p.Pending(three, c.to, c.owner)
			if due != (c.want.Kind != 0) {
				t.Fatalf("due: %v, want kind %d", due, c.want.Kind)
			}
			if c.want.From, c.want.To = 2, c.to; due && m != c.want {
				t.Errorf("%+v is due, want %+v", m, c.want)
			}
		})
	}
}

func TestTook(t *testing.T) {
	p := Part{taken: []taken{{1, at(3, 2)}}}
	if p.Took(1) != at(3, 2) || p.Took(4) != (Version{}) {
		t.Errorf("took %v and %v", p.Took(1), p.Took(4))
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	ordered := []Version{{}, at(1, 1), at(1, 2), at(2, 1), at(2, 9), at(3, 0)}
	for i, v := range ordered {
		for j, w := range ordered {
			if got := v.After(w); got != (i > j) {
				t.Errorf("%v after %v: %v", v, w, got)
			}
			if got, want := later(v, w), ordered[max(i, j)]; got != want {
				t.Errorf("the later of %v and %v is %v", v, w, got)
			}
		}
	}
}
