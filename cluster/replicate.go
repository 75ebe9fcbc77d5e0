package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

const (
	// replicateEvery bounds what a crash can lose: what was admitted since.
	replicateEvery = 100 * time.Millisecond
	// copyBatch ends a batch of copies. wholeAtOnce bounds those of whole partitions in
	// a round: 5 MB/s to each standby, which hits hardly notice. batchesAtOnce bounds
	// the changes that wait for a slow one.
	copyBatch     = 256 << 10
	wholeAtOnce   = 2
	batchesAtOnce = 8

	breathTime  = 50 * time.Nanosecond // for each byte
	leastBreath = 100 * time.Microsecond
)

// replicator copies the buckets that are decided here to where they will be looked
// for when this replica is gone: each partition's standby. Everybody else then
// forgets what copies it has.
type replicator struct {
	node *Node
	full [ring.Partitions]handoff.Boot // the standby to which the whole partition went, and since then all changes
	term [ring.Partitions]int64        // since when the token is here, as of then
	out  map[handoff.Boot]*outgoing    // what is to go, when the last round's has arrived
	drop map[handoff.Boot][]int        // who is yet to forget what
	owed map[handoff.Boot]int64        // since when a change has been waiting that isn't acknowledged

	spare [][]byte // memory of batches that have gone

	mu    sync.Mutex
	busy  map[handoff.Boot]bool // being sent something
	ended []*outgoing           // since the last round
}

func newReplicator(n *Node) *replicator {
	return &replicator{
		node: n,
		out:  map[handoff.Boot]*outgoing{},
		drop: map[handoff.Boot][]int{},
		owed: map[handoff.Boot]int64{},
		busy: map[handoff.Boot]bool{},
	}
}

// outgoing is what goes to one replica in a round.
type outgoing struct {
	to      *member
	batches [][]byte
	part    []int // partitions of which changes are in it,
	whole   []int // all that there is,
	drop    []int // or the order to forget them
	begun   int64 // when the first of it was added
	err     error // what became of it
}

// replicate sends what has changed every 100 ms, and a whole partition when its
// standby is new.
func (n *Node) replicate(ctx context.Context) {
	r := newReplicator(n)
	ticker := time.NewTicker(replicateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.round(ctx)
		}
	}
}

func (r *replicator) round(ctx context.Context) {
	v, now := r.node.view.Load(), r.node.now()
	r.review(v)
	r.collectWhole(ctx, v, now)
	r.collectChanges(v, now)
	r.collectDrops(v)
	for b, out := range r.out {
		if !r.isBusy(b) {
			delete(r.out, b)
			r.send(ctx, out)
		}
	}
	r.node.counters.behind.Store(r.oldest(v))
}

// review sees what has become of what was sent. What didn't arrive goes again;
// where a standby has all, the others need nothing.
func (r *replicator) review(v *view) {
	r.mu.Lock()
	ended := r.ended
	r.ended = nil
	r.mu.Unlock()
	for _, out := range ended {
		if len(r.spare) < batchesAtOnce {
			r.spare = append(r.spare, out.batches...)
		}
		r.acknowledged(out)
		switch {
		case out.err != nil:
			for _, p := range slices.Concat(out.part, out.whole) {
				r.full[p] = 0
			}
			r.drop[out.to.id] = append(r.drop[out.to.id], out.drop...)
		case len(out.whole) > 0:
			r.secured(v, out)
		}
	}
}

// secured notes that a standby has whole partitions: the others are to forget them. A
// standby may have been told the same, if the token was elsewhere meanwhile.
func (r *replicator) secured(v *view, out *outgoing) {
	whole := slices.DeleteFunc(out.whole, func(p int) bool {
		return r.full[p] != out.to.id || r.term[p] != r.node.parts.held[p].Load()
	})
	for _, p := range whole {
		r.node.parts.copied[p].Store(uint64(out.to.id))
	}
	for _, m := range v.members {
		if m.peer != nil && m.id != out.to.id {
			r.drop[m.id] = append(r.drop[m.id], whole...)
		}
	}
}

// acknowledged notes since when what is left has been waiting.
func (r *replicator) acknowledged(out *outgoing) {
	if out.err != nil {
		return
	}
	delete(r.owed, out.to.id)
	if next := r.out[out.to.id]; next != nil {
		r.owed[out.to.id] = next.begun
	}
}

// oldest is since when the change has been waiting that has waited longest; 0 is none.
func (r *replicator) oldest(v *view) (oldest int64) {
	for b, since := range r.owed {
		switch {
		case v.byID[b] == nil:
			delete(r.owed, b)
		case oldest == 0 || since < oldest:
			oldest = since
		}
	}
	return oldest
}

// collectWhole adds the partitions whose standby is new.
func (r *replicator) collectWhole(ctx context.Context, v *view, now int64) {
	for p := range r.full {
		if term := r.node.parts.held[p].Load(); term != r.term[p] {
			r.full[p], r.term[p] = 0, term // it is gone, new, or has been elsewhere
		}
		if r.term[p] == 0 {
			continue
		}
		standby := v.standby(p)
		if standby == nil || standby.id == r.full[p] || !r.free(standby) {
			continue
		}
		copied, _ := r.node.store.AppendCopy(nil, p, now)
		out := r.add(standby, p, copied)
		out.whole = append(out.whole, p)
		r.full[p] = standby.id
		breathe(ctx, len(copied))
	}
}

// breathe leaves the CPU to hits for a while after a copy of that many bytes was made
// or merged, about three times as long as that took. Yielding is not enough: while
// every thread has something to run, Go looks at the sockets only every 10 ms.
func breathe(ctx context.Context, bytes int) {
	if d := time.Duration(bytes) * breathTime; d >= leastBreath {
		sleep(ctx, d)
	}
}

// free reports whether more whole partitions may be sent to a standby.
func (r *replicator) free(m *member) bool {
	return m.peer != nil && !r.isBusy(m.id) && m.alive() && r.waiting(m) < wholeAtOnce*copyBatch
}

// waiting is how many bytes are to go to a standby, to a batch.
func (r *replicator) waiting(m *member) int {
	out := r.out[m.id]
	if out == nil || len(out.batches) == 0 {
		return 0
	}
	last := len(out.batches) - 1
	return last*copyBatch + len(out.batches[last])
}

// collectChanges adds what has changed in the partitions that the standby knows.
func (r *replicator) collectChanges(v *view, now int64) {
	known := func(p int) bool { return r.full[p] != 0 && r.node.parts.holds(p) }
	for shard := range bucket.Shards {
		r.node.store.Changes(shard, now, known, func(p int, changes []byte) {
			standby := v.standby(p)
			if standby == nil || r.full[p] != standby.id || r.waiting(standby) >= batchesAtOnce*copyBatch {
				r.full[p] = 0 // nobody hears of these: the next standby needs the whole, and so does the last
				return
			}
			out := r.add(standby, p, changes)
			out.part = append(out.part, p)
		})
	}
}

// collectDrops adds the orders to forget, where they still hold.
func (r *replicator) collectDrops(v *view) {
	for b, drop := range r.drop {
		m := v.byID[b]
		if m == nil {
			delete(r.drop, b)
			continue
		}
		if m.peer == nil || r.isBusy(b) || !m.alive() {
			continue
		}
		delete(r.drop, b)
		for _, p := range drop {
			if r.full[p] != 0 && r.full[p] != b {
				out := r.add(m, p, nil)
				out.drop = append(out.drop, p)
			}
		}
	}
}

// add puts a copy into the batch for a replica, if the token is still here; nil is the
// order to forget.
func (r *replicator) add(to *member, partition int, copied []byte) *outgoing {
	out := r.out[to.id]
	if out == nil {
		out = &outgoing{to: to, begun: max(r.node.now(), 1)}
		r.out[to.id] = out
		if r.owed[to.id] == 0 {
			r.owed[to.id] = out.begun
		}
	}
	term, held := r.node.parts.term(partition)
	if !held {
		return out
	}
	last := len(out.batches) - 1
	if last < 0 || len(out.batches[last]) > copyBatch {
		out.batches = append(out.batches, r.empty())
		last++
	}
	out.batches[last] = appendChanges(out.batches[last], partition, term, copied)
	return out
}

// empty is a batch with nothing in it.
func (r *replicator) empty() []byte {
	last := len(r.spare) - 1
	if last < 0 {
		return nil
	}
	b := r.spare[last][:0]
	r.spare = r.spare[:last]
	return b
}

// send delivers the batches. A slow replica holds up no other.
func (r *replicator) send(ctx context.Context, out *outgoing) {
	r.mu.Lock()
	r.busy[out.to.id] = true
	r.mu.Unlock()
	r.node.once("copying to a standby", func() {
		defer r.sent(out)
		out.err = errPanic // unless deliver returns
		out.err = r.deliver(ctx, out)
	})
}

// deliver sends one batch after the other, up to the first that doesn't arrive.
func (r *replicator) deliver(ctx context.Context, out *outgoing) error {
	for _, b := range out.batches {
		if _, err := callFor(ctx, out.to.peer, callChanges, b); err != nil {
			r.node.config.Log.Debug("can't copy to a standby", "peer", out.to.name, "error", err)
			r.node.counters.uncopied.Add(1)
			return err
		}
		r.node.counters.copied.Add(int64(len(b)))
	}
	return nil
}

// sent notes what has become of the batches.
func (r *replicator) sent(out *outgoing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, out.to.id)
	r.ended = append(r.ended, out)
}

func (r *replicator) isBusy(b handoff.Boot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy[b]
}
