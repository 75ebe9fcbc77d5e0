package cluster

import (
	"testing"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

func TestTokensSayWhatIsHere(t *testing.T) {
	n := start(t, Config{})
	for i, token := range n.Tokens() {
		if token != TokenHeld {
			t.Fatalf("partition %d of a replica on its own: %d", i, token)
		}
	}
	n.parts.doubtAll(n.now())
	if got := n.Tokens()[7]; got != TokenDoubtful {
		t.Errorf("after a standstill: %d", got)
	}
	n.parts = newPartitions(1)
	if got := n.Tokens()[7]; got != TokenElsewhere {
		t.Errorf("of another's: %d", got)
	}
	n.parts.owners = make([]handoff.Boot, ring.Partitions)
	n.parts.owners[7] = 1
	if got := n.Tokens(); got[7] != TokenAwaited || got[8] != TokenElsewhere {
		t.Errorf("of its own that is still elsewhere: %d; of another's: %d", got[7], got[8])
	}
}
