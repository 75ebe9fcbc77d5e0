package cluster

import "testing"

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
}
