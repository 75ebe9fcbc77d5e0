package simnet

import "time"

// Cut breaks the link between a and b both ways.
func (n *Net) Cut(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutLocked(link{a, b})
	n.cutLocked(link{b, a})
}

// CutOneWay breaks the link for what from says to to, and leaves the answers'
// way open. A stream needs both ways to open, but an open one still carries
// bytes the other way.
func (n *Net) CutOneWay(from, to *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cutLocked(link{from, to})
}

// Partition cuts every link between hosts of different groups. It heals nothing,
// and hosts in no group keep their links.
func (n *Net) Partition(groups ...[]*Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, group := range groups {
		for j, other := range groups {
			if i == j {
				continue
			}
			for _, a := range group {
				for _, b := range other {
					n.cutLocked(link{a, b})
				}
			}
		}
	}
}

// Mute breaks the link between a and b both ways for gossip alone: packets, and
// streams to a port that Gossip opened. So each may take the other for dead, which
// it isn't.
func (n *Net) Mute(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mutes[link{a, b}], n.mutes[link{b, a}] = true, true
}

// Hush is the opposite of Mute: gossip goes on, and nothing else reaches the other.
func (n *Net) Hush(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hushes[link{a, b}], n.hushes[link{b, a}] = true, true
}

// Reset breaks every open stream between a and b, as a middlebox does that has lost
// its table: both ends read ECONNRESET, at once, and what was under way is lost. New
// streams can be opened right away.
func (n *Net) Reset(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range a.conns {
		if c.peer.host == b {
			c.peer.breakLocked()
			c.breakLocked()
		}
	}
}

// Heal mends the link between a and b both ways. Streams that were held go on
// with the bytes they held; packets sent meanwhile are lost.
func (n *Net) Heal(a, b *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.healLocked(link{a, b})
	n.healLocked(link{b, a})
}

// HealAll mends every link. It restarts no host.
func (n *Net) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, broken := range []map[link]bool{n.cuts, n.mutes, n.hushes} {
		for l := range broken {
			n.healLocked(l)
		}
	}
}

// cutLocked breaks a link; a host always reaches itself.
func (n *Net) cutLocked(l link) {
	if l.from != l.to {
		n.cuts[l] = true
	}
}

func (n *Net) healLocked(l link) {
	if n.cuts[l] || n.mutes[l] || n.hushes[l] {
		delete(n.cuts, l)
		delete(n.mutes, l)
		delete(n.hushes, l)
		n.resumeLocked(l)
	}
}

// blockedLocked tells whether what from says does not reach to.
func (n *Net) blockedLocked(l link) bool {
	return l.from.state == crashed || l.to.state == crashed || n.cuts[l]
}

// mutedLocked is blockedLocked for gossip.
func (n *Net) mutedLocked(l link) bool { return n.blockedLocked(l) || n.mutes[l] }

// resumeLocked sends again what a link that was blocked held back. What was under
// way at the time of the cut was lost with it, so that starts anew as well.
func (n *Net) resumeLocked(l link) {
	if n.blockedLocked(l) {
		return
	}
	at := time.Now().Add(n.latency + l.from.delay)
	for c := range l.from.conns {
		if c.peer.host == l.to {
			c.resendLocked(at)
		}
	}
}
