package cluster

import (
	"context"
	"errors"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/transport"
)

// What replicas call each other for, besides hits.
const (
	callMoves   = 1 // the messages of package handoff, with copies
	callChanges = 2 // copies for the standby
	callRelay   = 3 // an orphan for its holder
)

var (
	errNotMe   = errors.New("cluster: meant for another boot, or from one that has departed")
	errNotHeld = errors.New("cluster: not held here")
	errNoSuch  = errors.New("cluster: unknown kind of call")
)

// answering is the node as its peers see it.
type answering struct{ node *Node }

func (a answering) Now() int64 { return a.node.now() }

func (a answering) Sight() transport.Sight {
	v := a.node.view.Load()
	return transport.Sight{View: v.hash, Table: v.table.Hash()}
}

func (a answering) Decide(h transport.Hit, now int64) transport.Answer {
	n := a.node
	if v, ok := n.decideHere(h, now); ok {
		return transport.Answer{Verdict: v}
	}
	hint := handoff.Boot(0) // on its way here, or lost
	if m := n.holder(n.view.Load(), ring.Partition(h.Digest.Hi)); m.peer != nil && m.alive() {
		hint = m.id
	}
	return transport.Answer{NotHeld: true, Hint: uint64(hint)}
}

// Call answers what peers ask besides hits.
func (a answering) Call(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error) {
	boot := handoff.Boot(from)
	switch kind {
	case callMoves:
		return a.node.answerMoves(boot, payload)
	case callChanges:
		return nil, a.node.answerChanges(ctx, boot, payload)
	case callRelay:
		return a.node.answerRelay(ctx, boot, payload)
	}
	return nil, errNoSuch
}
