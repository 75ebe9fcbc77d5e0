package cluster

import (
	"encoding/binary"
	"errors"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// slotRecord is the size of one replica's slots of one key in a copy: digest 16,
// boot, sequence number, count and what is left of the term, each u64.
const slotRecord = 16 + 8 + 8 + 8 + 8

var errSlots = errors.New("cluster: malformed copy of slots")

// appendLent appends the slots of a partition whose token was just sent away: those
// of others and of this replica.
func (f *inflight) appendLent(b []byte, p int, self handoff.Boot, now int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for d, t := range f.lent[p] {
		for boot, s := range t {
			if s.expire > now {
				b = appendSlots(b, d, boot, s, now)
			}
		}
	}
	return f.appendOwn(b, p, self, now)
}

// appendOwned appends this replica's own slots in a partition, for somebody who
// makes its token anew.
func (f *inflight) appendOwned(b []byte, p int, self handoff.Boot, now int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appendOwn(b, p, self, now)
}

func (f *inflight) appendOwn(b []byte, p int, self handoff.Boot, now int64) []byte {
	for d, r := range f.own {
		if r.count > 0 && ring.Partition(d.Hi) == p {
			f.seq++
			b = appendSlots(b, d, self, slots{r.count, f.seq, now + int64(slotTerm)}, now)
		}
	}
	return b
}

func appendSlots(b []byte, d bucket.Digest, boot handoff.Boot, s slots, now int64) []byte {
	for _, n := range [...]uint64{d.Hi, d.Lo, uint64(boot), s.seq, uint64(s.count), uint64(s.expire - now)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// merge takes in the slots that came with a partition.
func (f *inflight) merge(p int, b []byte, self handoff.Boot, now int64) error {
	if len(b)%slotRecord != 0 {
		return errSlots
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; len(b) > 0; b = b[slotRecord:] {
		n := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
		d, boot, count, term := bucket.Digest{Hi: n(0), Lo: n(1)}, handoff.Boot(n(2)), int64(n(4)), int64(n(5))
		if ring.Partition(d.Hi) != p || count < 0 || count > maxSlots || term < 0 {
			return errSlots
		}
		if boot != self { // it knows its own
			f.note(p, d, boot, slots{count, n(3), now + min(term, int64(slotTerm))})
		}
	}
	return nil
}
