package handoff

import (
	"reflect"
	"testing"
)

// In these tables the replica is boot 2 and the other one boot 1. Versions are
// written as counter and boot.

func at(counter uint64, b Boot) Version { return Version{counter, b} }

// pair is the view of boot 2 of both.
func pair() *View { return &View{Self: 2, Members: []Boot{1, 2}, Hash: 12} }

func leavingPair() *View {
	v := pair()
	v.Leaving = true
	return v
}

// TestReceive has a row for each transition that a message causes. Where there is
// no answer its kind is 0.
func TestReceive(t *testing.T) {
	transfer := func(v Version) Message { return Message{Kind: Transfer, Version: v} }
	ask := func(v Version) Message { return Message{Kind: Claim, Version: v, View: 12} }
	claiming := func(s State, free ...Boot) Part {
		return Part{state: s, version: at(3, 2), sent: at(1, 2), claim: &claim{at(3, 2), free}}
	}
	sending := Part{state: Sending, version: at(3, 1), fence: at(3, 1), sent: at(3, 1), to: 1, hint: 1}
	doubting := Part{state: Doubt, version: at(3, 1), sent: at(3, 1)}
	had := []taken{{1, at(2, 2)}}

	for _, c := range []struct {
		event  string
		v      *View
		before Part
		m      Message
		after  Part
		answer Message
	}{
		{"transfer, repeated", pair(), Part{version: at(4, 1), fence: at(4, 1), taken: had}, transfer(at(2, 2)),
			Part{version: at(4, 1), fence: at(4, 1), taken: had}, Message{Kind: Ack}},
		{"transfer, repeated, while leaving", leavingPair(), Part{taken: had}, transfer(at(2, 2)),
			Part{taken: had}, Message{Kind: Ack}},
		{"transfer of no version", pair(), Part{}, transfer(Version{}),
			Part{}, Message{Kind: Ack}},
		{"transfer to the holder", pair(), Part{state: Hold, version: at(9, 2), fence: at(9, 2)}, transfer(at(3, 2)),
			Part{state: Hold, version: at(9, 2), fence: at(9, 2), taken: []taken{{1, at(3, 2)}}}, Message{Kind: Ack}},
		{"later transfer to the holder", pair(), Part{state: Hold, version: at(1, 2), taken: had}, transfer(at(3, 2)),
			Part{state: Hold, version: at(3, 2), taken: []taken{{1, at(3, 2)}}}, Message{Kind: Ack}},
		{"transfer to one that leaves", leavingPair(), Part{}, transfer(at(3, 2)),
			Part{}, Message{Kind: Refuse, Leaving: true}},
		{"transfer older than a promise", pair(), Part{version: at(5, 3), fence: at(5, 3)}, transfer(at(3, 2)),
			Part{version: at(5, 3), fence: at(5, 3)}, Message{Kind: Refuse, Fence: at(5, 3)}},
		{"transfer that may have been taken", pair(), Part{version: at(5, 3), fence: at(5, 3), forgot: at(3, 2)}, transfer(at(3, 2)),
			Part{version: at(5, 3), fence: at(5, 3), forgot: at(3, 2)}, Message{Kind: Unsure, Fence: at(5, 3)}},
		{"transfer", pair(), Part{hint: 1}, transfer(at(3, 2)),
			Part{state: Hold, version: at(3, 2), fence: at(3, 2), taken: []taken{{1, at(3, 2)}}}, Message{Kind: Ack}},
		{"transfer, another before", pair(), Part{taken: had}, transfer(at(3, 2)),
			Part{state: Hold, version: at(3, 2), fence: at(3, 2), taken: []taken{{1, at(3, 2)}}}, Message{Kind: Ack}},
		{"transfer to a sender", pair(), sending, transfer(at(4, 2)),
			Part{state: Hold, version: at(4, 2), fence: at(4, 2), sent: at(3, 1), to: 1, taken: []taken{{1, at(4, 2)}}}, Message{Kind: Ack}},
		{"transfer to one in doubt", pair(), doubting, transfer(at(4, 2)),
			Part{state: Hold, version: at(4, 2), fence: at(4, 2), sent: at(3, 1), taken: []taken{{1, at(4, 2)}}}, Message{Kind: Ack}},
		{"transfer older than an own claim", pair(), claiming(None), transfer(at(2, 2)),
			Part{state: Hold, version: at(3, 2), fence: at(2, 2), sent: at(1, 2), taken: []taken{{1, at(2, 2)}}}, Message{Kind: Ack, Fence: at(3, 2)}},

		{"ack", pair(), sending, Message{Kind: Ack, Version: at(3, 1)}, with(sending, func(p *Part) { p.state = None }), Message{}},
		{"ack to an older transfer", pair(), sending, Message{Kind: Ack, Version: at(2, 1)}, sending, Message{}},
		{"ack in doubt", pair(), doubting, Message{Kind: Ack, Version: at(3, 1)}, doubting, Message{}},
		{"refusal", pair(), sending, Message{Kind: Refuse, Version: at(3, 1), Fence: at(7, 1)},
			with(sending, func(p *Part) { p.state, p.version, p.hint = Hold, at(7, 1), 0 }), Message{}},
		{"refusal of an older transfer", pair(), sending, Message{Kind: Refuse, Version: at(2, 1), Fence: at(2, 1)}, sending, Message{}},
		{"unsure", pair(), sending, Message{Kind: Unsure, Version: at(3, 1)}, with(sending, func(p *Part) { p.state = Doubt }), Message{}},
		{"unsure of an older transfer", pair(), sending, Message{Kind: Unsure, Version: at(2, 1)}, sending, Message{}},

		{"claim to the holder", pair(), Part{state: Hold, version: at(1, 2)}, ask(at(4, 1)),
			Part{state: Hold, version: at(4, 1)}, Message{Kind: Held, Fence: at(4, 1)}},
		{"claim to a sender", pair(), sending, ask(at(4, 1)),
			with(sending, func(p *Part) { p.version = at(4, 1) }), Message{Kind: Busy, Fence: at(4, 1)}},
		{"claim older than another", pair(), Part{version: at(4, 2)}, ask(at(4, 1)),
			Part{version: at(4, 2)}, Message{Kind: Stale, Fence: at(4, 2)}},
		{"claim equal to a transfer to another", pair(), Part{version: at(4, 3)}, ask(at(4, 3)),
			Part{version: at(4, 3)}, Message{Kind: Stale, Fence: at(4, 3)}},
		{"claim in another view", pair(), claiming(None), Message{Kind: Claim, Version: at(9, 1), View: 13},
			claiming(None), Message{Kind: OtherView, Fence: at(3, 2)}},
		{"claim", pair(), claiming(None), ask(at(4, 1)),
			Part{version: at(4, 1), fence: at(4, 1), sent: at(1, 2)}, Message{Kind: Free, Fence: at(4, 1)}},
		{"claim, repeated", pair(), Part{version: at(4, 1), fence: at(4, 1)}, ask(at(4, 1)),
			Part{version: at(4, 1), fence: at(4, 1)}, Message{Kind: Free, Fence: at(4, 1)}},
		{"claim to one in doubt", pair(), doubting, ask(at(4, 1)),
			with(doubting, func(p *Part) { p.version, p.fence = at(4, 1), at(4, 1) }), Message{Kind: Free, Fence: at(4, 1)}},

		{"last consent", pair(), claiming(Doubt), Message{Kind: Free, Version: at(3, 2)},
			Part{state: Hold, version: at(3, 2), fence: at(3, 2), sent: at(1, 2)}, Message{}},
		{"consent with one to come", &View{Self: 2, Members: []Boot{1, 2, 3}}, claiming(None), Message{Kind: Free, Version: at(3, 2)},
			claiming(None, 1), Message{}},
		{"consent, repeated", &View{Self: 2, Members: []Boot{1, 2, 3}}, claiming(None, 1), Message{Kind: Free, Version: at(3, 2)},
			claiming(None, 1), Message{}},
		{"consent to an older claim", pair(), claiming(None), Message{Kind: Free, Version: at(2, 2)}, claiming(None), Message{}},
		{"held", pair(), claiming(None), Message{Kind: Held, Version: at(3, 2), Fence: at(5, 1)},
			Part{version: at(5, 1), sent: at(1, 2), hint: 1}, Message{}},
		{"busy", pair(), claiming(None), Message{Kind: Busy, Version: at(3, 2), Fence: at(5, 1)}, Part{version: at(5, 1), sent: at(1, 2)}, Message{}},
		{"stale", pair(), claiming(None), Message{Kind: Stale, Version: at(3, 2), Fence: at(5, 1)}, Part{version: at(5, 1), sent: at(1, 2)}, Message{}},
		{"other view", pair(), claiming(None), Message{Kind: OtherView, Version: at(3, 2), Fence: at(2, 1)}, Part{version: at(3, 2), sent: at(1, 2)}, Message{}},
		{"held, to an older claim", pair(), claiming(None), Message{Kind: Held, Version: at(2, 2), Fence: at(2, 2)}, claiming(None), Message{}},

		{"copy to the holder", pair(), Part{state: Hold}, Message{Kind: Copy, Version: at(3, 1)}, Part{state: Hold}, Message{Kind: CopyAck}},
		{"copy to another", pair(), doubting, Message{Kind: Copy, Version: at(3, 1)}, doubting, Message{}},
		{"copy was merged", pair(), doubting, Message{Kind: CopyAck, Version: at(3, 1)}, with(doubting, func(p *Part) { p.state, p.hint = None, 1 }), Message{}},
		{"an older copy was merged", pair(), doubting, Message{Kind: CopyAck, Version: at(2, 1)}, doubting, Message{}},

		{"nonsense", pair(), doubting, Message{Kind: 99, Version: at(3, 1)}, doubting, Message{}},
		{"for another boot", pair(), Part{}, Message{Kind: Transfer, To: 3, Version: at(3, 3)}, Part{}, Message{}},
		{"from the departed", &View{Self: 2, Members: []Boot{2}, Departed: func(b Boot) bool { return b == 1 }},
			Part{}, transfer(at(3, 2)), Part{}, Message{}},
	} {
		t.Run(c.event, func(t *testing.T) {
			c.m.From = 1
			if c.m.To == 0 {
				c.m.To = 2
			}
			c.before = copied(c.before)
			answer, answered := c.before.Receive(c.v, c.m)
			if !reflect.DeepEqual(c.before, c.after) {
				t.Errorf("the partition is %+v, want %+v", c.before, c.after)
			}
			if answered != (c.answer.Kind != 0) {
				t.Fatalf("answered: %v, want kind %d", answered, c.answer.Kind)
			}
			if !answered {
				return
			}
			c.answer.From, c.answer.To, c.answer.Version = 2, 1, c.m.Version
			switch c.answer.Kind {
			case Ack, CopyAck: // nobody looks at the fence
				c.answer.Fence = answer.Fence
			}
			if answer != c.answer {
				t.Errorf("the answer is %+v, want %+v", answer, c.answer)
			}
		})
	}
}

// with returns p as changed by f.
func with(p Part, f func(*Part)) Part {
	p = copied(p)
	f(&p)
	return p
}

// copied returns p with slices and a claim of its own.
func copied(p Part) Part {
	p.taken = append([]taken(nil), p.taken...)
	if p.claim != nil {
		p.claim = &claim{p.claim.version, append([]Boot(nil), p.claim.free...)}
	}
	return p
}
