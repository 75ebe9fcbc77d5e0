package cluster

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// answerChanges merges what a holder has copied here for the case that it crashes,
// and forgets what it says is kept elsewhere.
func (n *Node) answerChanges(ctx context.Context, from handoff.Boot, batch []byte) error {
	if n.parts.hasDeparted(from) {
		return errNotMe
	}
	now := n.now()
	for len(batch) > 0 {
		p, term, copied, rest, err := cutChanges(batch)
		if err != nil {
			return err
		}
		batch = rest
		if len(copied) == 0 {
			n.parts.forget(p, term, func() { n.store.Drop(p) })
			continue
		}
		if err := n.store.Keep(&n.parts.held[p], p, copied, now); err != nil {
			return err
		}
		n.parts.keep(p, from, term)
		breathe(ctx, len(copied))
	}
	return nil
}

// changesHeader is the size of what goes before each copy in a batch: the partition's
// number u16, the holder's version and the length u32 of the copy. An empty one is the
// order to forget.
const changesHeader = 2 + 16 + 4

func appendChanges(b []byte, partition int, term handoff.Version, copied []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(partition))
	b = appendVersion(b, term)
	b = binary.BigEndian.AppendUint32(b, uint32(len(copied)))
	return append(b, copied...)
}

// cutChanges reads the first copy of a batch. It shares the batch's memory.
func cutChanges(b []byte) (partition int, term handoff.Version, copied, rest []byte, err error) {
	if len(b) < changesHeader {
		return 0, term, nil, nil, fmt.Errorf("%w: %d bytes left", errMoves, len(b))
	}
	partition, term = int(binary.BigEndian.Uint16(b)), version(b[2:])
	size := uint64(binary.BigEndian.Uint32(b[18:]))
	if b = b[changesHeader:]; partition >= ring.Partitions || size > uint64(len(b)) {
		return 0, term, nil, nil, fmt.Errorf("%w: partition %d, a copy of %d bytes", errMoves, partition, size)
	}
	return partition, term, b[:size], b[size:], nil
}

// keep notes whose copy of a partition is here, by its holder's version.
func (p *partitions) keep(i int, holder handoff.Boot, term handoff.Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.obey(i, term) && !p.holds(i) {
		p.kept[i].Store(uint64(holder))
	}
}

// forget drops the copy of a partition whose holder says that it has another standby,
// unless something is in it that the holder hasn't.
func (p *partitions) forget(i int, term handoff.Version, drop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.obey(i, term) || p.holds(i) {
		return
	}
	p.kept[i].Store(0)
	if p.parts[i].State() == handoff.None && p.pace[i].owed == 0 {
		drop()
	}
}

// obey reports whether what a holder of that version says still counts: it doesn't if
// a later one has spoken, or the token has been here since, or there can be no such
// version. p.mu is held.
func (p *partitions) obey(i int, term handoff.Version) bool {
	if p.heard[i].After(term) || !p.parts[i].Saw(term) {
		return false
	}
	p.heard[i] = term
	return true
}
