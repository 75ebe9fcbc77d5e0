package hosts

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// row is the figures of one scenario, a line of the table in docs/guarantees.md.
type row struct {
	scenario        string
	calls, admitted int
	over, bound     int64 // of the key that exceeds its bound most, else of the one over-admitted most
	overAll         int64 // of all keys together
	excused         int64 // calls that may be part of it, since the machine stood still; in bound too
	lost            int64 // tokens of all keys that nobody got
	late            lateness
	errors          int
	degraded        int           // decided by another than the holder
	agree           time.Duration // until all views agreed, after the fault or its end; 0 if they never differed
}

// columns of the table; a row has a cell for each.
func columns() []string {
	return []string{
		"scenario", "calls", "over-admitted, all keys", "worst key (bound)", "refused though allowed",
		"past their deadline (slowest)", "errors", "degraded", "views agree after",
	}
}

func (r row) cells() []string {
	agree := "always"
	if r.agree > 0 {
		agree = fmt.Sprintf("%.2f s", r.agree.Seconds())
	}
	return []string{
		r.scenario, fmt.Sprint(r.calls), fmt.Sprint(r.overAll), fmt.Sprintf("%d (%d)", r.over, r.bound),
		fmt.Sprint(r.lost), fmt.Sprintf("%d (%d ms)", r.late.calls, r.late.worst.Milliseconds()),
		fmt.Sprint(r.errors), fmt.Sprint(r.degraded), agree,
	}
}

// table is the rows in Markdown.
func table(rows []row) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns())
	fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("---:|", len(columns())-1))
	for _, r := range rows {
		line(r.cells())
	}
	return b.String()
}

// String is the row with its columns' names, on one line.
func (r row) String() string {
	var parts []string
	for i, cell := range r.cells() {
		parts = append(parts, columns()[i]+": "+cell)
	}
	return fmt.Sprintf("%s; admitted while the machine stood still: %d", strings.Join(parts, "; "), r.excused)
}

// travel is for how long a bucket may have been on its way altogether: in a rolling
// restart of five it moves up to ten times, and each time with its batch.
const travel = 200 * time.Millisecond

// bound is how much of one key may be over-admitted.
type bound func(calls []call, l limit) int64

// judge fills in the row from what the processes did, given each key's limit. A call
// may take timeout, and allowance beyond that unnoticed. It returns the evidence
// against them, in words, with times since zero.
func (r *row) judge(histories []history, limits []limit, b bound, timeout, allowance time.Duration, zero int64) []string {
	var evidence []string
	var stalls []span
	for _, h := range histories {
		stalls = append(stalls, h.stalls...)
	}
	for _, h := range histories {
		if l := r.count(h, stalls, timeout, allowance); l.calls > 0 {
			c := l.slowest
			evidence = append(evidence, fmt.Sprintf("%d calls of a process took longer than %v + %v; the slowest %v: key %d, %s",
				l.calls, timeout, allowance, l.worst, c.key, describe([]call{c}, span{c.at, c.end}, zero)))
		}
	}
	for key, calls := range byKey(histories, len(limits)) {
		excuse := excused(calls, stalls, timeout)
		over, most := overAdmitted(calls, limits[key]), b(calls, limits[key])+excuse
		r.excused += excuse
		r.overAll += over.by
		if cmp.Or(cmp.Compare(max(0, over.by-most), max(0, r.over-r.bound)), cmp.Compare(over.by, r.over)) > 0 {
			r.over, r.bound = over.by, most
		}
		if over.by > most {
			evidence = append(evidence, fmt.Sprintf("key %d over-admitted by %d, at most %d are promised: %s", key, over.by, most, describe(calls, over.span, zero)))
		}
		if lost, c := shortage(calls, limits[key], travel); lost > 0 {
			r.lost += lost
			evidence = append(evidence, fmt.Sprintf("key %d refused though %d tokens were left: %s", key, lost, describe([]call{c}, span{c.at, c.end}, zero)))
		}
	}
	return evidence
}

// count adds what needs no comparison with other processes, and returns which calls
// were late.
func (r *row) count(h history, stalls []span, timeout, allowance time.Duration) lateness {
	l := late(h.calls, stalls, timeout, allowance)
	r.late.calls += l.calls
	r.late.worst = max(r.late.worst, l.worst)
	r.calls += len(h.calls)
	for _, c := range h.calls {
		switch c.outcome {
		case failed:
			r.errors++
		case allowed:
			r.admitted++
		}
		if c.degraded {
			r.degraded++
		}
	}
	return l
}

// describe says who asked in an interval, and what the answers were.
func describe(calls []call, s span, zero int64) string {
	type kind struct {
		by       int
		outcome  outcome
		degraded bool
	}
	counts := map[kind]int{}
	for _, c := range calls {
		if c.at >= s.from && c.end <= s.to {
			counts[kind{c.by, c.outcome, c.degraded}]++
		}
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.by, b.by), cmp.Compare(a.outcome, b.outcome))
	})
	text := fmt.Sprintf("from %.3f s to %.3f s", float64(s.from-zero)/1e9, float64(s.to-zero)/1e9)
	for _, k := range kinds {
		text += fmt.Sprintf(", process %d: %d %v", k.by, counts[k], k.outcome)
		if k.degraded {
			text += " degraded"
		}
	}
	return text
}
