package cluster

import (
	"errors"
	"slices"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/transport"
)

// copyist is a replicator of replica a, which holds everything, beside b and c, the
// view of all and one without b. In both a owns partition p; its standby is b, and
// without b it is c.
func copyist(t *testing.T) (r *replicator, all, rest *view, p int) {
	t.Helper()
	views := [2]*view{}
	for i, names := range [][]string{{"a", "b", "c"}, {"a", "c"}} {
		var boots []*member
		for _, name := range names {
			m := &member{meta: meta{name: name}, boot: name, id: handoff.Boot(name[0])}
			if name != "a" {
				m.peer = new(transport.Peer) // that is never asked
			}
			boots = append(boots, m)
		}
		v, err := newView(boots)
		if err != nil {
			t.Fatal(err)
		}
		views[i] = v
	}
	n := &Node{
		store: bucket.NewStore(bucket.StoreConfig{Track: true}), parts: newPartitions('a'),
		config: Config{}.withDefaults(),
	}
	n.parts.holdAll()
	n.view.Store(views[0])
	for p = 0; views[0].owner(p).name != "a" || views[0].standby(p).name != "b"; p++ {
	}
	r = newReplicator(n)
	r.busy['b'], r.busy['c'] = true, true // nothing is sent
	r.collectWhole(t.Context(), views[0], 1)
	return r, views[0], views[1], p
}

// hit takes a token of some key in partition p.
func (r *replicator) hit(p int) {
	d := bucket.Digest{Hi: uint64(p) << 52, Lo: 1}
	r.node.store.TakeDigest(bucket.MustRule("api", "5/hour"), d, 1, 1)
}

// What changes while the standby is another, that has nothing yet, is not told the one
// that comes back: it needs the whole again.
func TestAStandbyThatComesBackNeedsTheWhole(t *testing.T) {
	r, all, rest, p := copyist(t)
	r.full[p] = 'b'
	r.hit(p)
	r.collectChanges(all, 1)
	if out := r.out['b']; out == nil || !slices.Equal(out.part, []int{p}) {
		t.Fatalf("the standby isn't told: %+v", out)
	}
	r.collectChanges(rest, 1)
	if r.full[p] != 'b' {
		t.Error("nothing has changed, and the standby needs the whole")
	}
	r.hit(p)
	r.collectChanges(rest, 1)
	if r.full[p] != 0 || len(r.out) != 1 || len(r.out['b'].part) != 1 {
		t.Errorf("%c has all, after a change that it isn't told", r.full[p])
	}
}

// A token that was elsewhere between two rounds comes back to a standby that may have
// been told to forget, and an acknowledgement from before says nothing.
func TestATokenThatWasElsewhereMeanwhile(t *testing.T) {
	r, all, _, p := copyist(t)
	again := func() {
		r.node.parts.parts[p] = handoff.Part{}
		r.node.parts.publish(p, 2)
		r.node.parts.parts[p].StartClaim(r.node.parts.view)
		r.node.parts.publish(p, 3)
	}
	end := func() *outgoing { return &outgoing{to: all.byID['b'], whole: []int{p}} }

	r.full[p], r.ended = 'b', []*outgoing{end()}
	r.review(all)
	if r.node.parts.copied[p].Load() != 'b' || !slices.Equal(r.drop['c'], []int{p}) || len(r.drop['b']) > 0 {
		t.Errorf("acknowledged: copied to %c, to be forgotten: %v", rune(r.node.parts.copied[p].Load()), r.drop)
	}
	again()
	r.ended, r.drop = []*outgoing{end()}, map[handoff.Boot][]int{}
	r.review(all)
	if r.node.parts.copied[p].Load() != 0 || len(r.drop['c']) > 0 {
		t.Errorf("acknowledged late: copied to %c, to be forgotten: %v", rune(r.node.parts.copied[p].Load()), r.drop)
	}
	r.collectWhole(t.Context(), all, 3)
	if r.full[p] != 0 {
		t.Error("the standby isn't told the whole")
	}
	r.node.parts.parts[p] = handoff.Part{}
	r.node.parts.publish(p, 4)
	if out := r.add(all.byID['b'], p, nil); len(out.batches) > 0 {
		t.Error("copies what isn't held")
	}
	if r.waiting(all.byID['b']) != 0 {
		t.Error("something waits")
	}
}

// A panic on the way to the standby is no acknowledgement.
func TestAPanicWhileCopyingIsNoAcknowledgement(t *testing.T) {
	r, all, _, p := copyist(t)
	standby := *all.byID['b']
	standby.peer = nil
	r.full[p] = 'b'
	r.send(t.Context(), &outgoing{to: &standby, whole: []int{p}, batches: [][]byte{{1}}})
	r.node.wg.Wait()
	r.review(all)
	if r.node.panics.Load() != 1 {
		t.Fatalf("%d panics, want 1", r.node.panics.Load())
	}
	if r.full[p] != 0 || r.node.parts.copied[p].Load() != 0 {
		t.Errorf("%c has all, though nothing arrived", rune(r.full[p]))
	}
}

// What didn't arrive goes again, an order to forget included.
func TestWhatDidNotArriveGoesAgain(t *testing.T) {
	r, all, _, p := copyist(t)
	r.full[p], r.full[p+1] = 'b', 'b'
	r.ended = []*outgoing{{to: all.byID['b'], part: []int{p}, whole: []int{p + 1}, drop: []int{7}, err: errors.New("gone")}}
	r.review(all)
	if r.full[p] != 0 || r.full[p+1] != 0 || !slices.Equal(r.drop['b'], []int{7}) {
		t.Errorf("%v, %v, to be forgotten: %v", r.full[p], r.full[p+1], r.drop)
	}
	r.drop['z'] = []int{1}
	r.collectDrops(all)
	if _, kept := r.drop['z']; kept {
		t.Error("keeps orders for one that has gone")
	}
}

// A standby that can't keep up isn't sent changes without end: it needs the whole
// later.
func TestChangesDoNotPileUp(t *testing.T) {
	r, all, _, p := copyist(t)
	r.full[p] = 'b'
	for range batchesAtOnce + 1 {
		r.add(all.byID['b'], p, make([]byte, copyBatch))
	}
	r.hit(p)
	r.collectChanges(all, 1)
	if r.full[p] != 0 || len(r.out['b'].part) != 0 {
		t.Errorf("%d batches wait, and it is told more", len(r.out['b'].batches))
	}
}
