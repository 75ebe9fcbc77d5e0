package handoff

import (
	"math"
	"reflect"
	"testing"
)

// TestDecline has a row for each kind of message that comes from somebody who shouldn't
// have sent it.
func TestDecline(t *testing.T) {
	transfer := Message{Kind: Transfer, From: 1, To: 2, Version: at(5, 2)}
	none := Part{version: at(3, 1), fence: at(2, 1), claim: &claim{version: at(3, 2)}}
	for _, c := range []struct {
		what   string
		v      *View
		before Part
		m      Message
		after  Part
		answer Kind // 0 is none
	}{
		{"a token", pair(), none, transfer, Part{version: at(5, 2), fence: at(5, 2)}, Refuse},
		{"a token, once more", pair(), Part{version: at(5, 2), fence: at(5, 2)}, transfer, Part{version: at(5, 2), fence: at(5, 2)}, Refuse},
		{"a token that was taken", pair(), Part{taken: []taken{{1, at(5, 2)}}}, transfer, Part{taken: []taken{{1, at(5, 2)}}}, Ack},
		{"a token to its holder", pair(), Part{state: Hold, version: at(6, 2)}, transfer, Part{state: Hold, version: at(6, 2), taken: []taken{{1, at(5, 2)}}}, Ack},
		{"a token from one who has gone", &View{Self: 2, Departed: gone(1)}, Part{}, transfer, Part{}, 0},
		{"a claim", pair(), Part{}, Message{Kind: Claim, From: 1, To: 2, Version: at(5, 1), View: 12}, Part{}, OtherView},
		{"a claim to the holder", pair(), Part{state: Hold, version: at(6, 2)}, Message{Kind: Claim, From: 1, To: 2, Version: at(5, 1), View: 12}, Part{state: Hold, version: at(6, 2)}, Held},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := copied(c.before)
			answer, answered := p.Decline(c.v, c.m)
			if answer.Kind != c.answer || answered != (c.answer != 0) {
				t.Errorf("the answer is %v, %v", answer, answered)
			}
			if !reflect.DeepEqual(copied(p), copied(c.after)) {
				t.Errorf("the partition is %+v, want %+v", p, c.after)
			}
		})
	}
}

// A version far beyond is not believed, but comes nearer with each time that it is said:
// who was led astray by many messages can be followed by as many.
func TestVersionsDontLeap(t *testing.T) {
	far := Version{math.MaxUint64, 7}
	p := Part{state: Hold, version: at(3, 2), fence: at(3, 2)}
	for _, m := range []Message{{Kind: Transfer, Version: far}, {Kind: Claim, Version: far, View: 12}, {Kind: Refuse, Fence: far}, {Kind: Held, Version: at(1, 1), Fence: far}} {
		m.From, m.To = 1, 2
		before := p.version.Counter
		if answer, answered := p.Receive(pair(), m); answered {
			t.Errorf("%v is answered by %v", m, answer)
		}
		if p.state != Hold || p.version.Counter != before+maxLeap {
			t.Errorf("after %v: %+v", m, p)
		}
	}
	near := Version{p.version.Counter + maxLeap, 1}
	if !p.Saw(near) || p.version != near || p.Saw(far) {
		t.Errorf("%+v", p)
	}
	if answer, _ := p.Receive(pair(), Message{Kind: Claim, From: 1, To: 2, Version: Version{near.Counter + 1, 1}, View: 12}); answer.Kind != Held {
		t.Errorf("a claim that is near: %v", answer)
	}
	p = Part{version: Version{math.MaxUint64 - 1, 1}}
	if !p.Saw(far) || p.version != far {
		t.Errorf("at the end: %+v", p)
	}
}
