package cluster

import (
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// Token says what a replica has of the token of one partition, which is the right to
// decide for the keys in it.
type Token uint8

const (
	// TokenElsewhere: another replica has it, or nobody.
	TokenElsewhere Token = iota
	// TokenHeld: hits are decided here.
	TokenHeld
	// TokenSending: it is on its way to another replica, which hasn't acknowledged it.
	TokenSending
	// TokenDoubtful: the only complete copy of the buckets may be here.
	TokenDoubtful
	// TokenAwaited: this replica owns the partition, by its table, and has yet to get it.
	TokenAwaited
)

// state is the word for it in Partition.State.
func (t Token) state() string {
	switch t {
	case TokenHeld:
		return "held"
	case TokenSending:
		return "sending"
	case TokenDoubtful:
		return "doubtful"
	}
	return "none"
}

// Tokens returns what the node has of each partition at this moment, in some tens of
// microseconds. In a cluster that is whole and at rest one replica, the owner, says
// TokenHeld of a partition, and all others TokenElsewhere. It is safe for concurrent
// use.
func (n *Node) Tokens() (tokens [ring.Partitions]Token) {
	p := n.parts
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range tokens {
		switch p.parts[i].State() {
		case handoff.Hold:
			tokens[i] = TokenHeld
		case handoff.Sending:
			tokens[i] = TokenSending
		case handoff.Doubt:
			tokens[i] = TokenDoubtful
		case handoff.None:
			if p.owners != nil && p.owners[i] == p.self {
				tokens[i] = TokenAwaited
			}
		}
	}
	return tokens
}
