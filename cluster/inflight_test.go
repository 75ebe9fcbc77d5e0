package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// What a replica has asked for may have been granted by a former holder, so it
// counts for the one that holds the token now.
func TestWhatIsAskedForCounts(t *testing.T) {
	d := bucket.Digest{Hi: 1}
	f := newInflight()
	f.own[d] = &running{digest: d, count: 1, asking: true, asked: 1}
	g, ok := f.decide(7, claim{digest: d, limit: 3, want: 3, seq: 1}, 0)
	if !ok || g.granted != 1 || g.others != 2 {
		t.Errorf("granted %d beside %d, %t; want 1 beside 2", g.granted, g.others, ok)
	}
}

// The holder's own claims and those of others are decided one after another, each
// knowing what was granted before.
func TestClaimsFromHereAndThere(t *testing.T) {
	node, err := Start(t.Context(), Config{Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close(context.Background())
	d, seq := bucket.Digest{Hi: 1}, uint64(0)
	there := func(c claim) int64 {
		seq++
		c.digest, c.limit, c.seq = d, 1, seq
		answer, err := node.answerSlots(7, appendClaim(nil, c))
		if err != nil {
			t.Fatal(err)
		}
		return readGrant(answer).granted
	}
	for range 300 {
		here := make(chan bool, 1)
		go func() { here <- node.acquire(nil, d, 1, node.now()+int64(time.Minute)).Allowed }()
		for asking := false; !asking && len(here) == 0; { // its claim is under way
			node.inflight.mu.Lock()
			r := node.inflight.own[d]
			asking = r != nil && r.asking
			node.inflight.mu.Unlock()
		}
		granted := int64(0)
		for granted == 0 && len(here) == 0 {
			granted = there(claim{want: 1})
		}
		if <-here == (granted == 1) {
			t.Fatalf("claim %d: there %d of 1 slot, and as many here", seq, granted)
		}
		if granted == 0 {
			node.release(d)
		}
		there(claim{})
	}
}
