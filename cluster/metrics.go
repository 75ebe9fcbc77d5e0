package cluster

import (
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// Metrics is how a node fares. What is counted is counted since Start; the rest is
// as it is now. Neither keys nor secrets are in it.
type Metrics struct {
	// Name is the node's, Cluster that of its cluster.
	Name, Cluster string
	// Ready is what Node.Ready says.
	Ready bool
	// Members is how many replicas this one believes to be alive, itself included;
	// Unreachable are those of them that don't answer, and Disagreeing those that
	// see other members, or another table. Neither should last.
	Members, Unreachable, Disagreeing int
	// TableHash is what Node.TableHash returns: replicas agree on who owns what
	// exactly when it is the same at all of them.
	TableHash uint64
	// GossipHealth is memberlist's score of how well this replica keeps up: 0 is well,
	// 7 the worst.
	GossipHealth int

	// Decisions are those of Take, Acquire and what calls them, but not of Peek: by
	// rule, path and outcome, sorted. What is missing is 0.
	Decisions []Decisions
	// ByStandby counts hits that this replica decided by its copy of the buckets of
	// a holder that was gone, whoever asked; ByPolicy those of its callers that the
	// rule's failure policy decided. All of them were marked Degraded.
	ByStandby, ByPolicy int64
	// Relayed counts hits of its callers that reached their holder by way of
	// another replica.
	Relayed int64
	// Forwarding is how long callers waited for decisions that were not made here, in
	// nanoseconds, those by standbys and by the failure policy included.
	Forwarding Histogram

	// Frames is how many hits went in each frame to a peer. QueueFull counts hits that
	// found no place in the queue to one; StreamsLost streams to peers that broke or
	// couldn't be opened, and Silences how often a peer was asked no more until it
	// would speak again.
	Frames                           Histogram
	QueueFull, StreamsLost, Silences int64
	// Peers is how the way to each other member is, by name.
	Peers []PeerMetrics

	// Store is the memory of the buckets, those that are copies for others included;
	// Shares is the same of those that the policy LocalShare has made.
	Store, Shares bucket.Stats

	// Leases says what is lent between this replica and others.
	Leases LeaseMetrics
	// Panics counts panics inside the limiter that it recovered from.
	Panics int64
	// Handoff says how the partitions fare.
	Handoff HandoffMetrics
	// Replication says how the copies for the case of a crash fare.
	Replication ReplicationMetrics
}

// PeerMetrics is how the way to another replica is.
type PeerMetrics struct {
	Name string
	// Connected: there is a stream. Silent: it isn't asked at the moment, as it has
	// left something unanswered.
	Connected, Silent bool
	// Queued is how many hits wait to be sent there, equal ones counted once, Unanswered how many frames are
	// sent and not answered.
	Queued, Unanswered int
}

// ReplicationMetrics says how the standbys' copies fare.
type ReplicationMetrics struct {
	// Lag is how long the oldest change has been waiting that its standby hasn't
	// acknowledged: what a crash would lose. 0.1 s is usual, 0 if there is none.
	Lag time.Duration
	// Bytes is what standbys have acknowledged, Failures how often one didn't.
	Bytes, Failures int64
}

// LeaseMetrics says how a node's leases fare.
type LeaseMetrics struct {
	// Keys are how many of the keys that are held here are lent to others, and Lent how
	// many tokens of them.
	Keys int
	Lent int64
	// Statements counts the messages about leases, and about refusals that penalties
	// count, that this replica has sent to holders without a hit.
	Statements int64
}

// HandoffMetrics says how a node's partitions fare.
type HandoffMetrics struct {
	// Held, Sending and Doubtful are how many of the 4096 partitions are decided
	// here, are on their way to another replica that hasn't acknowledged them, and
	// may have their only complete copy here. Missing are those that this replica
	// should decide and doesn't yet.
	Held, Sending, Doubtful, Missing int
	// Uncopied are those held here whose standby hasn't acknowledged a whole copy
	// yet: a crash of this replica would lose more of them than the last 100 ms.
	Uncopied int
	// Sent and Received count partitions that went to another replica, which has
	// acknowledged them, and that came from one.
	Sent, Received int64
	// Refused counts transfers that their receiver turned down: it was leaving, or
	// had promised otherwise.
	Refused int64
	// Declined counts transfers and claims that this replica turned down since their
	// senders could have had no reason for them. A member has gone mad, or is hostile.
	Declined int64
	// Forced counts partitions that were taken over although some member had not
	// been asked, as it had been silent for a second. Each may have two holders
	// until that one is heard again.
	Forced int64
	// Doubled counts partitions that had two holders and became one: after a split
	// or a forced take-over.
	Doubled int64
	// Fenced counts the times that this replica stood still for over a second and
	// stopped deciding until it knew what had become of the cluster meanwhile.
	Fenced int64
}

// counters are what a node counts besides its decisions and its partitions.
type counters struct {
	byStandby, byPolicy, relayed atomic.Int64
	statements                   atomic.Int64 // about leases, without a hit
	forwarding                   waiting
	behind                       atomic.Int64 // since when a change waits to be acknowledged by its standby; 0 is none
	copied, uncopied             atomic.Int64 // bytes that standbys took, and batches that they didn't
}

// Metrics returns a snapshot. It looks at every partition and counter, which takes a
// fraction of a millisecond, and is safe for concurrent use.
func (n *Node) Metrics() Metrics {
	v := n.view.Load()
	m := Metrics{
		Name:       n.config.Name,
		Cluster:    n.config.Cluster,
		Ready:      n.Ready(),
		Members:    len(v.members),
		TableHash:  v.table.Hash(),
		Decisions:  n.tally.decisions(n.store),
		ByStandby:  n.counters.byStandby.Load(),
		ByPolicy:   n.counters.byPolicy.Load(),
		Relayed:    n.counters.relayed.Load(),
		Panics:     n.panics.Load(),
		Forwarding: n.counters.forwarding.histogram(),
		Store:      n.store.Stats(),
		Shares:     n.shares.Stats(),
		Handoff:    n.parts.metrics(),
	}
	if n.gossip != nil {
		m.GossipHealth = n.gossip.health()
	}
	m.Leases.Keys, m.Leases.Lent = n.store.Leases()
	m.Leases.Statements = n.counters.statements.Load()
	m.Handoff.Uncopied = n.parts.uncopied(v)
	m.Replication = n.counters.replication(n.now())
	m.traffic(n)
	m.peers(v)
	return m
}

func (c *counters) replication(now int64) ReplicationMetrics {
	m := ReplicationMetrics{Bytes: c.copied.Load(), Failures: c.uncopied.Load()}
	if since := c.behind.Load(); since != 0 {
		m.Lag = time.Duration(max(now-since, 0))
	}
	return m
}

// traffic adds what went to peers.
func (m *Metrics) traffic(n *Node) {
	t := n.meter.Traffic()
	m.QueueFull, m.StreamsLost, m.Silences = t.Full, t.Lost, t.Silent
	last := len(t.Frames) - 1
	m.Frames.Sum = t.Hits
	for i, frames := range t.Frames {
		m.Frames.Counts = append(m.Frames.Counts, frames)
		if i < last {
			m.Frames.Bounds = append(m.Frames.Bounds, 1<<i)
		}
	}
}

// peers adds how the others are.
func (m *Metrics) peers(v *view) {
	for _, other := range v.members {
		switch {
		case !other.alive():
			m.Unreachable++
		case !v.agrees(other):
			m.Disagreeing++
		}
		if other.peer == nil {
			continue
		}
		c := other.peer.Condition()
		m.Peers = append(m.Peers, PeerMetrics{
			Name: other.name, Connected: c.Connected, Silent: c.Silent, Queued: c.Queued, Unanswered: c.Unanswered,
		})
	}
}

// uncopied is how many partitions held here have no whole copy at their standby.
func (p *partitions) uncopied(v *view) (count int) {
	for i := range p.copied {
		if !p.holds(i) {
			continue
		}
		if standby := v.standby(i); standby != nil && standby.id != handoff.Boot(p.copied[i].Load()) {
			count++
		}
	}
	return count
}

func (p *partitions) metrics() HandoffMetrics {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.tally
	for i := range ring.Partitions {
		switch p.parts[i].State() {
		case handoff.Hold:
			m.Held++
			continue
		case handoff.Sending:
			m.Sending++
		case handoff.Doubt:
			m.Doubtful++
		}
		if p.owners != nil && p.owners[i] == p.self {
			m.Missing++
		}
	}
	return m
}
