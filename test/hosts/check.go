package hosts

import (
	"cmp"
	"slices"
	"time"
)

// excess is an interval in which too many calls of one key were allowed: so many
// beyond burst + rate·t.
type excess struct {
	span
	by int64
}

// overAdmitted is the largest excess of one key, over all intervals; none if by is
// 0. A call counts in an interval only if it began and ended there, so nothing is
// claimed that another order of decisions would excuse. Only intervals from the
// beginning of an allowed call to the end of another matter: any other can be made
// shorter without losing one.
func overAdmitted(calls []call, l limit) excess {
	ends := where(calls, func(c call) bool { return c.outcome == allowed })
	slices.SortFunc(ends, func(a, b call) int { return cmp.Compare(a.end, b.end) })
	most := int64(0) // in units of 1/per tokens
	var worst excess
	for _, first := range ends {
		passed := int64(0)
		for _, c := range ends {
			if c.at < first.at {
				continue
			}
			passed++
			if over := (passed-l.burst)*int64(l.per) - (c.end-first.at)*l.count; over > most {
				most, worst.span = over, span{first.at, c.end}
			}
		}
	}
	worst.by = ceil(most, int64(l.per))
	return worst
}

// wrongRefusals are the calls of one key that were refused though the bucket must
// have had a token: for no instant s before a refusal's end were so many allowed
// since s that burst + rate·(time since s) was used up. Who might have been charged
// counts as allowed: a call with no known end, with an error, or decided by others
// than the holder. slack is how much older than it was the bucket may be taken for:
// a hand-over sends the time that is left, and its way is lost on the strict side.
func wrongRefusals(calls []call, l limit, slack time.Duration) []call {
	charged := where(calls, func(c call) bool { return c.outcome != refused || c.degraded })
	slices.SortFunc(charged, func(a, b call) int { return cmp.Compare(b.end, a.end) }) // latest first
	return where(calls, func(c call) bool {
		return c.outcome == refused && !witnessed(c, charged, l, slack)
	})
}

// witnessed looks for the instant s. Only the ends of charged calls come into
// question: later ones see fewer calls, between two of them the refill alone grows.
func witnessed(c call, charged []call, l limit, slack time.Duration) bool {
	used := int64(1) // what the refused call wanted
	for _, other := range charged {
		if other.at > c.end || other == c {
			continue
		}
		used++
		refill := max(0, c.at-int64(slack)-other.end)
		if (used-l.burst)*int64(l.per) > refill*l.count {
			return true
		}
	}
	return l.burst < 1
}

// lateness is what calls took beyond their deadline.
type lateness struct {
	calls int
	worst time.Duration // of all calls, from call to answer, without stalls
}

// late counts the calls of one process that took longer than timeout, after taking
// off the time for which the process stood still. allowance is for the waits that
// are too short to be noticed as stalls.
func late(h history, timeout, allowance time.Duration) lateness {
	var l lateness
	for _, c := range h.calls {
		if c.outcome == open {
			continue
		}
		took := c.end - c.at
		for _, s := range h.stalls {
			took -= max(0, min(s.to, c.end)-max(s.from, c.at))
		}
		l.worst = max(l.worst, time.Duration(took))
		if took > int64(timeout+allowance) {
			l.calls++
		}
	}
	return l
}

// where returns the calls that match.
func where(calls []call, matches func(call) bool) []call {
	return slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return !matches(c) })
}

// byKey sorts the calls of all histories by their keys, which are below keys.
func byKey(histories []history, keys int) [][]call {
	sorted := make([][]call, keys)
	for _, h := range histories {
		for _, c := range h.calls {
			sorted[c.key] = append(sorted[c.key], c)
		}
	}
	return sorted
}
