package cluster

import (
	"bytes"
	"errors"
	"testing"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// tell orders the copy of partition 0 to be forgotten, by a holder of that version.
func (p *partitions) tell(term uint64) (dropped bool) {
	p.forget(0, handoff.Version{Counter: term}, func() { dropped = true })
	return dropped
}

// The copy at a former holder's standby is forgotten when the next holder says so, and
// what a former holder has said late counts no more.
func TestWhoseCopyIsKept(t *testing.T) {
	kept := func(p *partitions, want handoff.Boot) {
		t.Helper()
		if got := handoff.Boot(p.kept[0].Load()); got != want {
			t.Errorf("the copy of %d is kept, want %d's", got, want)
		}
	}
	p := newPartitions(1)
	p.keep(0, 2, handoff.Version{Counter: 5})
	kept(p, 2)
	if p.tell(4) {
		t.Error("an earlier holder's order is obeyed")
	}
	kept(p, 2)
	if !p.tell(6) {
		t.Error("the next holder's order isn't obeyed")
	}
	kept(p, 0)
	p.keep(0, 2, handoff.Version{Counter: 5})
	kept(p, 0)
	p.keep(0, 3, handoff.Version{Counter: 6})
	kept(p, 3)

	// A claim is later than what was heard with copies.
	p.view = &handoff.View{Self: 1, Members: []handoff.Boot{1}}
	p.parts[0].StartClaim(p.view)
	p.publish(0, 1)
	if term, held := p.term(0); !held || term.Counter != 7 {
		t.Errorf("held under %v, %v", term, held)
	}
	kept(p, 0)
	p.keep(0, 3, handoff.Version{Counter: 9})
	if kept(p, 0); p.tell(9) {
		t.Error("what is held was dropped")
	}
	p.parts[0].Release(p.view, 3)
	p.publish(0, 2)
	p.keep(0, 2, handoff.Version{Counter: 6})
	kept(p, 0)
	if _, held := p.term(0); held || p.tell(10) {
		t.Error("what is on its way was dropped")
	}
}

// A copy in which hits were decided that the holder hasn't got stays until it has.
func TestWhatIsOwedIsNotForgotten(t *testing.T) {
	p := newPartitions(1)
	p.keep(0, 2, handoff.Version{Counter: 5})
	p.owe(0)
	if p.tell(6) {
		t.Error("dropped")
	}
	p.owners = make([]handoff.Boot, ring.Partitions)
	p.owners[0] = 3
	if m, due := p.pending(0, 3); !due || m.Kind != handoff.Copy {
		t.Errorf("tells the owner %+v, %v", m, due)
	}
	p.owe(0) // after the copy was made
	acknowledge := func() { p.receive(0, handoff.Message{Kind: handoff.CopyAck, From: 3, To: 1}, 0) }
	acknowledge()
	if _, due := p.pending(0, 3); !due {
		t.Error("the second hit isn't told")
	}
	acknowledge()
	if _, due := p.pending(0, 3); due || !p.tell(7) {
		t.Error("all is told, and not forgotten")
	}
}

func TestChangesOnTheWire(t *testing.T) {
	term := handoff.Version{Counter: 1 << 40, Boot: 7}
	b := appendChanges(appendChanges(nil, 4095, term, []byte("copy")), 1, term, nil)
	p, v, copied, b, err := cutChanges(b)
	if p != 4095 || v != term || !bytes.Equal(copied, []byte("copy")) || err != nil {
		t.Errorf("%d, %v, %q, %v", p, v, copied, err)
	}
	p, v, copied, b, err = cutChanges(b)
	if p != 1 || v != term || len(copied) > 0 || len(b) > 0 || err != nil {
		t.Errorf("%d, %v, %q, %q, %v", p, v, copied, b, err)
	}
	for _, b := range [][]byte{
		nil, make([]byte, changesHeader-1),
		appendChanges(nil, ring.Partitions, term, nil),
		appendChanges(nil, 0, term, []byte("copy"))[:changesHeader+3],
	} {
		if _, _, _, _, err := cutChanges(b); !errors.Is(err, errMoves) {
			t.Errorf("%x: %v", b, err)
		}
	}
}
