package dashboard

import (
	"testing"

	"github.com/shoal-dev/shoal/cluster"
)

// Counters of replicas that go, and come again under their number, never go back.
func TestTheTallyKeepsWhatTheGoneHaveDecided(t *testing.T) {
	tally := tally{last: map[*cluster.Node]counts{}}
	metrics := func(each int64) (m cluster.Metrics) {
		for _, p := range []cluster.Path{cluster.PathLocal, cluster.PathForwarded, cluster.PathLeased, cluster.PathDenied, cluster.PathStandby, cluster.PathPolicy} {
			for _, o := range []cluster.Outcome{cluster.Allowed, cluster.Refused} {
				m.Decisions = append(m.Decisions, cluster.Decisions{Path: p, Outcome: o, Count: each})
			}
		}
		m.Handoff.Forced = each
		return m
	}
	first, again := Replica{Node: new(cluster.Node), Number: 2}, Replica{Node: new(cluster.Node), Number: 2}
	tally.add(first, metrics(1))
	tally.add(first, metrics(3))
	tally.keep([]Replica{again})
	tally.add(again, metrics(2))
	want := counts{admitted: 30, refused: 30, forced: 5, paths: paths{Local: 10, Forwarded: 10, Leased: 10, Cached: 10, Degraded: 20}}
	if tally.all != want || tally.by[2] != want || len(tally.last) != 1 {
		t.Errorf("%+v, by number %+v, of %d replicas", tally.all, tally.by[2], len(tally.last))
	}
}
