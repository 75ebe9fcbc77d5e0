package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

const (
	// replicateEvery bounds what a crash can lose: what was admitted since.
	replicateEvery = 100 * time.Millisecond
	// batchesAtOnce bounds the memory of what is under way to one standby.
	batchesAtOnce = 8
)

// replicator copies the buckets that are decided here to where they will be looked
// for when this replica is gone: each partition's standby.
type replicator struct {
	node *Node
	full [ring.Partitions]handoff.Boot // the standby that has the whole partition
	out  map[handoff.Boot]*outgoing

	mu   sync.Mutex
	busy map[handoff.Boot]bool
	lost map[int]bool // partitions whose copy did not arrive
}

// outgoing is what goes to one standby in a round.
type outgoing struct {
	batches    [][]byte
	partitions []int
}

// replicate sends what has changed every 100 ms, and a whole partition when its
// standby is new.
func (n *Node) replicate(ctx context.Context) {
	r := replicator{node: n, busy: map[handoff.Boot]bool{}, lost: map[int]bool{}}
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
	n := r.node
	v, now := n.view.Load(), n.now()
	r.out = map[handoff.Boot]*outgoing{}
	r.forgetLost()
	for p := range r.full {
		if !n.parts.held[p].Load() {
			r.full[p] = 0
			continue
		}
		standby := v.standby(p)
		if standby == nil || standby.peer == nil || r.full[p] == standby.id || r.isBusy(standby.id) || r.stuffed(standby.id) {
			continue
		}
		copied, entries := n.store.AppendCopy(nil, p, now)
		r.full[p] = standby.id
		if entries > 0 {
			r.add(standby.id, p, copied)
		}
	}
	for shard := range bucket.Shards {
		n.store.Changes(shard, now, func(p int, changes []byte) {
			standby := v.standby(p)
			switch {
			case standby == nil || r.full[p] != standby.id: // the whole goes there yet
			case r.isBusy(standby.id):
				r.full[p] = 0
			default:
				r.add(standby.id, p, changes)
			}
		})
	}
	for boot, out := range r.out {
		r.send(ctx, v.byID[boot], out)
	}
}

// add puts a copy into the batch for a standby.
func (r *replicator) add(to handoff.Boot, partition int, copied []byte) {
	out := r.out[to]
	if out == nil {
		out = &outgoing{}
		r.out[to] = out
	}
	last := len(out.batches) - 1
	if last < 0 || len(out.batches[last]) > fullBatch {
		out.batches = append(out.batches, nil)
		last++
	}
	b := binary.BigEndian.AppendUint16(out.batches[last], uint16(partition))
	b = binary.BigEndian.AppendUint32(b, uint32(len(copied)))
	out.batches[last] = append(b, copied...)
	out.partitions = append(out.partitions, partition)
}

func (r *replicator) stuffed(b handoff.Boot) bool {
	out := r.out[b]
	return out != nil && len(out.batches) >= batchesAtOnce
}

// send delivers the batches; what doesn't arrive is sent whole in a later round. A
// slow standby holds up no other.
func (r *replicator) send(ctx context.Context, to *member, out *outgoing) {
	r.mu.Lock()
	r.busy[to.id] = true
	r.mu.Unlock()
	r.node.wg.Go(func() {
		var err error
		for _, b := range out.batches {
			ctx, cancel := context.WithTimeout(ctx, callTime)
			if _, err = to.peer.Call(ctx, callChanges, b); err != nil {
				r.node.config.Log.Debug("can't copy to the standby", "peer", to.name, "error", err)
			}
			cancel()
			if err != nil {
				break
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.busy, to.id)
		if err != nil {
			for _, p := range out.partitions {
				r.lost[p] = true
			}
		}
	})
}

func (r *replicator) isBusy(b handoff.Boot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy[b]
}

// forgetLost makes the partitions whose copy got lost go whole.
func (r *replicator) forgetLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.lost {
		r.full[p] = 0
		delete(r.lost, p)
	}
}

// answerChanges merges what a holder has sent for the case that it crashes.
func (n *Node) answerChanges(from handoff.Boot, batch []byte) error {
	if n.parts.hasDeparted(from) {
		return errNotMe
	}
	now := n.now()
	for len(batch) > 0 {
		if len(batch) < 6 {
			return errMoves
		}
		partition, size := int(binary.BigEndian.Uint16(batch)), uint64(binary.BigEndian.Uint32(batch[2:]))
		batch = batch[6:]
		if partition >= ring.Partitions || size > uint64(len(batch)) {
			return fmt.Errorf("%w: partition %d, a copy of %d bytes", errMoves, partition, size)
		}
		if err := n.store.Merge(partition, batch[:size], now); err != nil {
			return err
		}
		batch = batch[size:]
	}
	return nil
}
