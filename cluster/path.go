package cluster

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/shoal-dev/shoal/bucket"
)

// path says how a decision came about.
type path uint8

const (
	byToken  path = iota // here, as the token of the key's partition is
	byLease              // here, from tokens that the holder has lent
	byDenial             // here, by what the holder has said before
	byHolder             // by the holder, whoever passed the hit on
	byOthers             // without the holder: by a copy, or the failure policy
	paths                // how many there are
)

// DecisionMetrics counts the decisions of Take on this replica, by how they came
// about.
type DecisionMetrics struct {
	// Local were decided here, as the holder of the key is this replica; Leased here
	// as well, from tokens that the holder had lent; Denied are refusals by what it
	// had said before. None of them was a message to another replica.
	Local, Leased, Denied int64
	// Forwarded were decided by the holder, on another replica; Degraded without it.
	Forwarded, Degraded int64
}

// tallyStripes keeps processors that count at the same time from waiting for each
// other.
const tallyStripes = 16

// tally counts decisions by their paths.
type tally struct {
	stripes [tallyStripes]struct {
		by [paths]atomic.Int64
		_  [128 - 8*paths]byte // cache lines of its own
	}
}

func (t *tally) add(by path) { t.stripes[rand.Uint32()%tallyStripes].by[by].Add(1) }

func (t *tally) sum() DecisionMetrics {
	var by [paths]int64
	for i := range t.stripes {
		for p := range by {
			by[p] += t.stripes[i].by[p].Load()
		}
	}
	return DecisionMetrics{Local: by[byToken], Leased: by[byLease], Denied: by[byDenial], Forwarded: by[byHolder], Degraded: by[byOthers]}
}

// count notes a decision of Take. It allocates nothing and takes no lock.
func (n *Node) count(_ *bucket.Rule, v *bucket.Verdict, by path) {
	if v.Degraded {
		by = byOthers
	}
	n.decisions.add(by)
}
