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
)

// Tokens returns what the node has of each partition at this moment, in some tens of
// microseconds. In a cluster that is whole and at rest exactly one replica says
// TokenHeld of a partition, and all others TokenElsewhere. It is safe for concurrent
// use.
func (n *Node) Tokens() (tokens [ring.Partitions]Token) {
	n.parts.mu.Lock()
	defer n.parts.mu.Unlock()
	for i := range tokens {
		switch n.parts.parts[i].State() {
		case handoff.Hold:
			tokens[i] = TokenHeld
		case handoff.Sending:
			tokens[i] = TokenSending
		case handoff.Doubt:
			tokens[i] = TokenDoubtful
		}
	}
	return tokens
}
