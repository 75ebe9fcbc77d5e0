package cluster

import (
	"sync/atomic"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// Metrics is how a node fares. What is counted is counted since Start; the rest is
// as it is now.
type Metrics struct {
	// Members is how many replicas this one believes to be alive, itself included;
	// Unreachable are those of them that don't answer, and Disagreeing those that
	// see other members, or another table. Neither should last.
	Members, Unreachable, Disagreeing int
	// ByStandby counts hits that this replica decided by its copy of the buckets of
	// a holder that was gone; ByPolicy those of its callers that the rule's failure
	// policy decided. All of them were marked Degraded.
	ByStandby, ByPolicy int64
	// Relayed counts hits of its callers that reached their holder by way of
	// another replica.
	Relayed int64
	// Handoff says how the partitions fare.
	Handoff HandoffMetrics
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

// counters are what a node counts besides its partitions.
type counters struct{ byStandby, byPolicy, relayed atomic.Int64 }

// Metrics returns a snapshot. It looks at every partition, which takes some tens of
// microseconds, and is safe for concurrent use.
func (n *Node) Metrics() Metrics {
	v := n.view.Load()
	m := Metrics{
		Members:   len(v.members),
		ByStandby: n.counters.byStandby.Load(),
		ByPolicy:  n.counters.byPolicy.Load(),
		Relayed:   n.counters.relayed.Load(),
		Handoff:   n.parts.metrics(),
	}
	m.Handoff.Uncopied = n.parts.uncopied(v)
	for _, other := range v.members {
		switch {
		case !other.alive():
			m.Unreachable++
		case !v.agrees(other):
			m.Disagreeing++
		}
	}
	return m
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
