package cluster

import (
	"slices"

	"github.com/shoal-dev/shoal/bucket"
)

// Path is the way by which a decision came about.
type Path uint8

const (
	// PathLocal: this replica holds the key's state.
	PathLocal Path = iota
	// PathLeased: by tokens that the holder had lent to this replica.
	PathLeased
	// PathDenied: refused by what the holder had said of an earlier hit.
	PathDenied
	// PathForwarded: by the holder elsewhere, asked directly or by way of another.
	PathForwarded
	// PathStandby: by the copy of a holder that is gone or silent. Such decisions are
	// Degraded.
	PathStandby
	// PathPolicy: by the rule's failure policy, as nobody answered in time. Such
	// decisions are Degraded.
	PathPolicy
	// PathOff: the rule is off, so nothing was decided and everything passes.
	PathOff

	paths
)

var pathWords = [...]string{
	PathLocal: "local", PathLeased: "leased", PathDenied: "denied", PathForwarded: "forwarded",
	PathStandby: "standby", PathPolicy: "policy", PathOff: "off",
}

// String returns the path in a word, as it stands in metrics.
func (p Path) String() string {
	if int(p) < len(pathWords) {
		return pathWords[p]
	}
	return "unknown"
}

// MarshalText returns the word.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Outcome is what a decision said.
type Outcome uint8

const (
	// Allowed decisions let the request pass.
	Allowed Outcome = iota
	// Refused ones don't.
	Refused
	// WouldRefuse ones let it pass only because the rule is in shadow mode.
	WouldRefuse

	outcomes
)

var outcomeWords = [...]string{Allowed: "allowed", Refused: "refused", WouldRefuse: "would_refuse"}

// String returns the outcome in a word, as it stands in metrics.
func (o Outcome) String() string {
	if int(o) < len(outcomeWords) {
		return outcomeWords[o]
	}
	return "unknown"
}

// MarshalText returns the word.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Decisions is how many decisions of the rules of one name came about by one path and
// said the same.
type Decisions struct {
	// Rule is "" for the decisions of all those rules that are not counted each for
	// itself: beyond the first 128 names.
	Rule    string
	Path    Path
	Outcome Outcome
	Count   int64
}

// Decided is how many decisions of all rules together came about by that path and said
// one of these; anything, if none is given.
func (m Metrics) Decided(by Path, said ...Outcome) (count int64) {
	for _, d := range m.Decisions {
		if d.Path == by && (len(said) == 0 || slices.Contains(said, d.Outcome)) {
			count += d.Count
		}
	}
	return count
}

// count counts one decision of the rule.
func (n *Node) count(rule *bucket.Rule, v *bucket.Verdict, by Path) {
	if by == PathForwarded && v.Degraded {
		by = PathStandby
	}
	o := Allowed
	switch {
	case v.Allowed || by == PathOff:
	case rule.Mode() == bucket.Shadow:
		o = WouldRefuse
	default:
		o = Refused
	}
	n.tally.count(rule, by, o)
}
