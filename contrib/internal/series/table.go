package series

import (
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Table returns all metrics.
func Table() []Metric {
	var all []Metric
	for _, part := range [][]Metric{decisions(), peers(), members(), partitions()} {
		all = append(all, part...)
	}
	return all
}

func decisions() []Metric {
	return []Metric{
		{
			Name: "shoal.decisions", Unit: "{decision}", Kind: Counter, Labels: []string{"rule", "path", "outcome"},
			Help: "Decisions for this replica's callers, by rule, by the way they came about, and by what they said.",
			Values: func(m *cluster.Metrics, add Add) {
				for _, d := range m.Decisions {
					add(float64(d.Count), ruleLabel(d.Rule), d.Path.String(), d.Outcome.String())
				}
			},
		}, {
			Name: "shoal.forwarding", Unit: "s", Kind: Histogram, Divisor: float64(time.Second),
			Help:      "How long callers waited for decisions that weren't made on this replica.",
			Histogram: func(m *cluster.Metrics) cluster.Histogram { return m.Forwarding },
		},
		counter("shoal.decisions.relayed", "{decision}", "Decisions that came by way of a third replica.", func(m *cluster.Metrics) int64 { return m.Relayed }),
		counter("shoal.standby.decisions", "{decision}", "Decisions by this replica's copy of what another held that is gone, whoever asked.", func(m *cluster.Metrics) int64 { return m.ByStandby }),
		gauge("shoal.leases", "{key}", "Keys held here whose tokens are lent to others.", func(m *cluster.Metrics) float64 { return float64(m.Leases.Keys) }),
		gauge("shoal.leases.tokens", "{token}", "Tokens of keys held here that are lent to others.", func(m *cluster.Metrics) float64 { return float64(m.Leases.Lent) }),
		counter("shoal.leases.statements", "{message}", "Messages about leases, and about refusals that penalties count, that went to holders without a hit.", func(m *cluster.Metrics) int64 { return m.Leases.Statements }),
		{
			Name: "shoal.entries", Unit: "{entry}", Kind: Gauge, Labels: []string{"store"},
			Help: "Buckets in memory, one for each limit of each key that isn't full: of keys, copies for others included, and of the local shares.",
			Values: func(m *cluster.Metrics, add Add) {
				add(float64(m.Store.Entries), "keys")
				add(float64(m.Shares.Entries), "shares")
			},
		},
		ofStores("shoal.memory", "By", Gauge, "Memory of the buckets and logs.", func(s *bucket.Stats) int64 { return int64(s.Bytes) }),
		ofStores("shoal.memory.limit", "By", Gauge, "The bound of that memory.", func(s *bucket.Stats) int64 { return int64(s.MaxBytes) }),
		ofStores("shoal.overflow.entries", "{entry}", Gauge, "Buckets that keys share which found no room.", func(s *bucket.Stats) int64 { return int64(s.Overflow) }),
		ofStores("shoal.overflow.decisions", "{decision}", Counter, "Decisions by such a shared bucket: they may have been refused too early.", func(s *bucket.Stats) int64 { return s.Overflowed }),
		ofStores("shoal.entries.dropped", "{entry}", Counter, "Full buckets that were dropped, which loses nothing.", func(s *bucket.Stats) int64 { return s.Dropped }),
		ofStores("shoal.copies.dropped", "{entry}", Counter, "Buckets of copies that were dropped as too many different limits are in use: their keys may have one burst more.", func(s *bucket.Stats) int64 { return s.Unmerged }),
	}
}

func ofStores(name, unit string, kind Kind, help string, value func(*bucket.Stats) int64) Metric {
	return Metric{
		Name: name, Unit: unit, Kind: kind, Labels: []string{"store"}, Help: help,
		Values: func(m *cluster.Metrics, add Add) {
			add(float64(value(&m.Store)), "keys")
			add(float64(value(&m.Shares)), "shares")
		},
	}
}

func peers() []Metric {
	return []Metric{
		{
			Name: "shoal.frame.hits", Unit: "{hit}", Kind: Histogram, Divisor: 1,
			Help:      "How many hits went together in a frame to another replica.",
			Histogram: func(m *cluster.Metrics) cluster.Histogram { return m.Frames },
		},
		counter("shoal.queue.full", "{hit}", "Hits that found no place in the queue to another replica.", func(m *cluster.Metrics) int64 { return m.QueueFull }),
		counter("shoal.streams.lost", "{stream}", "Streams to other replicas that broke or couldn't be opened.", func(m *cluster.Metrics) int64 { return m.StreamsLost }),
		counter("shoal.silences", "{silence}", "How often the breaker of a peer opened, as it left something unanswered.", func(m *cluster.Metrics) int64 { return m.Silences }),
		ofPeers("shoal.peer.connected", "", "1 while there is a stream to the peer.", func(p cluster.PeerMetrics) float64 { return flag(p.Connected) }),
		ofPeers("shoal.peer.silent", "", "1 while the peer's breaker is open: it isn't asked until it speaks again.", func(p cluster.PeerMetrics) float64 { return flag(p.Silent) }),
		ofPeers("shoal.peer.queue", "{hit}", "Hits that wait to be sent to the peer, equal ones counted once.", func(p cluster.PeerMetrics) float64 { return float64(p.Queued) }),
		ofPeers("shoal.peer.unanswered", "{frame}", "Frames that the peer hasn't answered.", func(p cluster.PeerMetrics) float64 { return float64(p.Unanswered) }),
	}
}

// exactBits is how many bits of an integer a float64 keeps.
const exactBits = 52

func members() []Metric {
	return []Metric{
		gauge("shoal.ready", "", "1 while the replica should be sent traffic.", func(m *cluster.Metrics) float64 { return flag(m.Ready) }),
		gauge("shoal.members", "{member}", "Replicas that this one believes to be alive, itself included.", func(m *cluster.Metrics) float64 { return float64(m.Members) }),
		gauge("shoal.members.unreachable", "{member}", "Those of them that don't answer.", func(m *cluster.Metrics) float64 { return float64(m.Unreachable) }),
		gauge("shoal.members.disagreeing", "{member}", "Those of them that see other members, or another table.", func(m *cluster.Metrics) float64 { return float64(m.Disagreeing) }),
		gauge("shoal.table.hash", "", "The first 52 bits of the hash of the table of owners: equal where replicas agree.", func(m *cluster.Metrics) float64 { return float64(m.TableHash >> (64 - exactBits)) }),
		gauge("shoal.gossip.health", "", "memberlist's score of how well this replica keeps up: 0 is well, 7 the worst.", func(m *cluster.Metrics) float64 { return float64(m.GossipHealth) }),
	}
}

func partitions() []Metric {
	return []Metric{
		{
			Name: "shoal.partitions", Unit: "{partition}", Kind: Gauge, Labels: []string{"state"},
			Help: "Partitions of 4096 that this replica holds, is sending to another, or may have the only complete copy of.",
			Values: func(m *cluster.Metrics, add Add) {
				add(float64(m.Handoff.Held), "held")
				add(float64(m.Handoff.Sending), "sending")
				add(float64(m.Handoff.Doubtful), "doubtful")
			},
		},
		gauge("shoal.partitions.missing", "{partition}", "Partitions that this replica should hold and doesn't yet.", func(m *cluster.Metrics) float64 { return float64(m.Handoff.Missing) }),
		gauge("shoal.partitions.uncopied", "{partition}", "Partitions held here whose standby has no whole copy yet.", func(m *cluster.Metrics) float64 { return float64(m.Handoff.Uncopied) }),
		{
			Name: "shoal.transfers", Unit: "{partition}", Kind: Counter, Labels: []string{"result"},
			Help: "Partitions that were sent to another replica, received from one, or turned down by one.",
			Values: func(m *cluster.Metrics, add Add) {
				add(float64(m.Handoff.Sent), "sent")
				add(float64(m.Handoff.Received), "received")
				add(float64(m.Handoff.Refused), "refused")
			},
		},
		counter("shoal.moves.declined", "{message}", "Transfers and claims turned down, as their sender could have had no reason for them.", func(m *cluster.Metrics) int64 { return m.Handoff.Declined }),
		counter("shoal.partitions.forced", "{partition}", "Partitions taken over although a silent member hadn't been asked.", func(m *cluster.Metrics) int64 { return m.Handoff.Forced }),
		counter("shoal.partitions.doubled", "{partition}", "Partitions that had two holders and became one.", func(m *cluster.Metrics) int64 { return m.Handoff.Doubled }),
		counter("shoal.panics", "{panic}", "Panics inside the limiter that it recovered from.", func(m *cluster.Metrics) int64 { return m.Panics }),
		counter("shoal.fenced", "{pause}", "How often this replica stood still for over a second and asked again what it holds.", func(m *cluster.Metrics) int64 { return m.Handoff.Fenced }),
		gauge("shoal.replication.lag", "s", "How long the oldest change has been waiting that its standby hasn't acknowledged.", func(m *cluster.Metrics) float64 { return m.Replication.Lag.Seconds() }),
		counter("shoal.replication", "By", "Copies that standbys have acknowledged.", func(m *cluster.Metrics) int64 { return m.Replication.Bytes }),
		counter("shoal.replication.failures", "{batch}", "Copies that a standby didn't acknowledge.", func(m *cluster.Metrics) int64 { return m.Replication.Failures }),
	}
}

func counter(name, unit, help string, of func(*cluster.Metrics) int64) Metric {
	return Metric{Name: name, Unit: unit, Kind: Counter, Help: help, Values: func(m *cluster.Metrics, add Add) { add(float64(of(m))) }}
}

func gauge(name, unit, help string, of func(*cluster.Metrics) float64) Metric {
	return Metric{Name: name, Unit: unit, Kind: Gauge, Help: help, Values: func(m *cluster.Metrics, add Add) { add(of(m)) }}
}

func ofPeers(name, unit, help string, of func(cluster.PeerMetrics) float64) Metric {
	return Metric{Name: name, Unit: unit, Kind: Gauge, Labels: []string{"peer"}, Help: help, Values: func(m *cluster.Metrics, add Add) {
		for _, p := range m.Peers {
			add(of(p), p.Name)
		}
	}}
}
