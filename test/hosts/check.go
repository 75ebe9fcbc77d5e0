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

// shortage is how many tokens of one key nobody got: the largest number that must
// have been missing from its bucket for some call to be refused. The refusal c is
// returned too. A token that is lost once is missed until the bucket is full again,
// however many calls that refuses.
//
// A refusal needs an instant s before its end since which burst + rate·(time since s)
// was used up, and what the best such instant leaves is missing. Whoever might have
// been charged counts: a call with no known end, with an error, or decided by others
// than the holder. The refill of travel is not missed: a bucket that moves comes with
// the time until it is full, and loses the time it was on the way.
func shortage(calls []call, l limit, travel time.Duration) (most int64, c call) {
	charged := where(calls, func(c call) bool { return c.outcome != refused || c.degraded })
	slices.SortFunc(charged, func(a, b call) int { return cmp.Compare(b.end, a.end) }) // latest first
	for _, r := range calls {
		if r.outcome == refused && !r.degraded {
			if n := missing(r, charged, l, travel); n > most {
				most, c = n, r
			}
		}
	}
	return most, c
}

// missing is the shortage that one refusal shows. Only the ends of charged calls come
// into question for s: between two of them nothing grows but the refill. If not even
// the first had happened, the bucket was full.
func missing(c call, charged []call, l limit, travel time.Duration) int64 {
	per := int64(l.per)
	used := int64(1) // what the refused call wanted
	least := l.burst*per - used*per
	for _, other := range charged {
		if other.at > c.end {
			continue
		}
		used++
		least = min(least, (l.burst-used)*per+max(0, c.at-other.end-int64(travel))*l.count)
		if least < 0 {
			return 0
		}
	}
	return max(0, least/per+1) // one more than fits
}

// lateness is what calls took beyond their deadline.
type lateness struct {
	calls   int
	worst   time.Duration // of all calls, from call to answer, without stalls
	slowest call          // the one that took so long
}

// late counts the calls of one process that took longer than timeout, after taking
// off the time for which processes stood still, this one or those that it waited
// for. allowance is for the waits that are too short to be noticed as stalls.
func late(calls []call, stalls []span, timeout, allowance time.Duration) lateness {
	var l lateness
	for _, c := range calls {
		if c.outcome == open {
			continue
		}
		took := time.Duration(c.end - c.at)
		if took > min(timeout, l.worst) { // or else it doesn't matter
			took -= stalled(span{c.at, c.end}, stalls)
		}
		if took > l.worst {
			l.worst, l.slowest = took, c
		}
		if took > timeout+allowance {
			l.calls++
		}
	}
	return l
}

// excused is how many calls of one key were admitted without its holder while other
// programs kept the processors for so long that nobody could have answered in time:
// these go by local shares, on top of what the holder admits. What a call waits for
// may have been held up before the call, so the time of one timeout before it counts
// too. A quarter of the timeout is enough, since each replica on the way waits for
// the next.
func excused(calls []call, stalls []span, timeout time.Duration) int64 {
	return int64(len(where(calls, func(c call) bool {
		return c.outcome == allowed && c.degraded && stalled(span{c.at - int64(timeout), c.end}, stalls) >= timeout/4
	})))
}

// stalled is for how long processes stood still within s, all together.
func stalled(s span, stalls []span) time.Duration {
	sum := int64(0)
	for _, o := range stalls {
		sum += max(0, min(s.to, o.to)-max(s.from, o.from))
	}
	return time.Duration(sum)
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
