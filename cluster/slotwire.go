package cluster

import (
	"encoding/binary"
	"fmt"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

const (
	// claimRecord is: digest 16, limit, have, want, sequence number, u64 each.
	claimRecord = 16 + 4*8
	// grantRecord is: held u8, granted u64, others u64; or 0 and the boot that may
	// hold the token, or 0.
	grantRecord = 1 + 8 + 8

	maxClaims = 1024 // in one call

	// maxSlots is more than a replica ever has or wants: sums of such don't overflow.
	maxSlots = 1 << 40
)

func appendClaim(b []byte, c claim) []byte {
	for _, n := range [...]uint64{c.digest.Hi, c.digest.Lo, uint64(c.limit), uint64(c.have), uint64(c.want), c.seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func readClaim(b []byte) (claim, error) {
	n := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	c := claim{bucket.Digest{Hi: uint64(n(0)), Lo: uint64(n(1))}, n(2), n(3), n(4), uint64(n(5))}
	if c.limit < 0 || c.have < 0 || c.want < 0 || c.have > maxSlots || c.want > maxSlots {
		return claim{}, fmt.Errorf("%w: %d of %d, and %d more", errSlots, c.have, c.limit, c.want)
	}
	return c, nil
}

// answerSlots answers the claims of another replica, in their order.
func (n *Node) answerSlots(from handoff.Boot, batch []byte) ([]byte, error) {
	if len(batch)%claimRecord != 0 || len(batch) > maxClaims*claimRecord {
		return nil, errSlots
	}
	now, v := n.now(), n.view.Load()
	var answers []byte
	for ; len(batch) > 0; batch = batch[claimRecord:] {
		c, err := readClaim(batch)
		if err != nil {
			return nil, err
		}
		g, held := n.granted(from, c, now)
		hint := handoff.Boot(0)
		if m := n.holder(v, ring.Partition(c.digest.Hi)); !held && m.peer != nil {
			hint = m.id
		}
		answers = appendGrant(answers, g, held, hint)
	}
	return answers, nil
}

// granted is grant, under the lock.
func (n *Node) granted(from handoff.Boot, c claim, now int64) (g grant, held bool) {
	n.inflight.mu.Lock()
	defer n.inflight.mu.Unlock()
	return n.grant(from, c, now)
}

// grant decides a claim, if the token of its partition is here. inflight.mu is held.
func (n *Node) grant(from handoff.Boot, c claim, now int64) (g grant, held bool) {
	if !n.decides(ring.Partition(c.digest.Hi), now) {
		return grant{}, false
	}
	return n.inflight.decide(from, c, now)
}

func appendGrant(b []byte, g grant, held bool, hint handoff.Boot) []byte {
	if !held {
		b = binary.BigEndian.AppendUint64(append(b, 0), uint64(hint))
		return binary.BigEndian.AppendUint64(b, 0)
	}
	b = binary.BigEndian.AppendUint64(append(b, 1), uint64(g.granted))
	return binary.BigEndian.AppendUint64(b, uint64(g.others))
}

func readGrant(b []byte) reply {
	first, second := binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	if b[0] == 0 {
		return reply{hint: handoff.Boot(first)}
	}
	bounded := func(n uint64) int64 { return int64(min(n, maxSlots)) }
	return reply{held: true, grant: grant{granted: bounded(first), others: bounded(second)}}
}
