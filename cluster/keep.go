package cluster

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// answerChanges merges what a holder has copied here for the case that it crashes,
// and forgets what it says is kept elsewhere. A batch is, for each partition: its
// number u16, the length u32 of the copy, and the copy; without one it is to be
// forgotten.
func (n *Node) answerChanges(ctx context.Context, from handoff.Boot, batch []byte) error {
	if n.parts.hasDeparted(from) {
		return errNotMe
	}
	now := n.now()
	for len(batch) > 0 {
		if len(batch) < 6 {
			return errMoves
		}
		p, size := int(binary.BigEndian.Uint16(batch)), uint64(binary.BigEndian.Uint32(batch[2:]))
		batch = batch[6:]
		if p >= ring.Partitions || size > uint64(len(batch)) {
			return fmt.Errorf("%w: partition %d, a copy of %d bytes", errMoves, p, size)
		}
		if size == 0 {
			n.parts.forget(p, from, func() { n.store.Drop(p) })
			continue
		}
		if err := n.store.Merge(p, batch[:size], now); err != nil {
			return err
		}
		n.parts.keep(p, from)
		batch = batch[size:]
		breathe(ctx, int(size))
	}
	return nil
}

// keep notes whose copy of a partition is here.
func (p *partitions) keep(i int, holder handoff.Boot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holds(i) {
		p.kept[i].Store(uint64(holder))
	}
}

// forget drops the copy of a partition whose holder says that it has another
// standby, unless somebody else relies on it.
func (p *partitions) forget(i int, holder handoff.Boot, drop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept := handoff.Boot(p.kept[i].Load()); kept != 0 && kept != holder {
		return
	}
	if p.parts[i].State() != handoff.None || p.pace[i].owed > 0 {
		return
	}
	p.kept[i].Store(0)
	drop()
}
