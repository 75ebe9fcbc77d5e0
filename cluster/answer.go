package cluster

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/transport"
)

// What replicas call each other for, besides hits.
const (
	callMoves   = 1 // the messages of package handoff, with copies
	callChanges = 2 // copies for the standby
	callRelay   = 3 // an orphan for its holder
	callSlots   = 4 // claims of concurrency limits
	callRefund  = 5 // a hit that is taken back
	callReset   = 6 // a key that is made whole
)

var (
	errNotMe   = errors.New("cluster: meant for another boot, or from one that has departed")
	errNoSuch  = errors.New("cluster: unknown kind of call")
	errPanic   = errors.New("cluster: a mistake in this replica")
	errRequest = errors.New("cluster: malformed request")
)

const digestBytes = 16

func appendDigest(b []byte, d bucket.Digest) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, d.Hi), d.Lo)
}

func readDigest(b []byte) bucket.Digest {
	return bucket.Digest{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

// answering is the node as its peers see it.
type answering struct{ node *Node }

func (a answering) Now() int64 { return a.node.now() }

func (a answering) Sight() transport.Sight {
	v := a.node.view.Load()
	return transport.Sight{View: v.hash, Table: v.table.Hash()}
}

// Admit lets members ask alone.
func (a answering) Admit(ctx context.Context, from uint64, certificate []byte) error {
	return a.node.gossip.door.admit(ctx, handoff.Boot(from), certificate)
}

// Panicked counts and logs what the server recovered from.
func (a answering) Panicked(where string, p any) { a.node.mishap(where, p) }

func (a answering) Decide(h *transport.Hit, now int64, answer *transport.Answer) {
	n := a.node
	defer n.rescueAnswer(answer)
	if former := n.doubtful(h, now); former != 0 {
		answer.NotHeld, answer.Hint = true, uint64(former)
		return
	}
	if n.decideFor(h, now, answer) {
		return
	}
	h.Statement = transport.Statement{} // nobody but the holder answers it
	if n.decideHere(&answer.Verdict, answer.Run, h, now) {
		return
	}
	answer.NotHeld = true // on its way here, or lost, or elsewhere
	if m := n.holder(n.view.Load(), partition(h)); m.peer != nil && m.alive() {
		answer.Hint = uint64(m.id)
	}
}

// decideFor decides what a peer itself asks, by the token if it is here: so it is known
// who asks often, and should be lent some of the key.
func (n *Node) decideFor(h *transport.Hit, now int64, a *transport.Answer) bool {
	switch {
	case h.Asker == 0 || h.Peek:
		return false
	case h.Speaks():
		return n.decides(partition(h), now) && n.lend(a, h, h.Asker, now)
	case !n.decideRun(&a.Verdict, a.Run, h, now):
		return false
	}
	a.Hot = n.scale.Load() <= 1 && n.store.Heat(h.Rule, h.Digest, h.Asker, h.Count, now)
	return true
}

// Call answers what peers ask besides hits.
func (a answering) Call(ctx context.Context, from uint64, kind uint8, payload []byte) (answer []byte, err error) {
	if !a.node.survives("answering a call", func() { answer, err = a.call(ctx, from, kind, payload) }) {
		return nil, errPanic
	}
	return answer, err
}

func (a answering) call(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error) {
	boot := handoff.Boot(from)
	switch kind {
	case callMoves:
		return a.node.answerMoves(boot, payload)
	case callChanges:
		return nil, a.node.answerChanges(ctx, boot, payload)
	case callRelay:
		return a.node.answerRelay(ctx, boot, payload)
	case callSlots:
		return a.node.answerSlots(boot, payload)
	case callRefund:
		return a.node.answerRefund(payload)
	case callReset:
		return nil, a.node.answerReset(payload)
	}
	return nil, errNoSuch
}
