package hosts

import (
	"fmt"
	"strings"
	"time"
)

// row is the figures of one scenario, a line of the README's table.
type row struct {
	scenario        string
	calls, admitted int
	over, bound     int64 // of the key that came closest to its bound, or exceeded it most
	overAll         int64 // of all keys together
	refused, held   int   // though allowed; and how many of them by the holder itself
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
		fmt.Sprint(r.refused), fmt.Sprintf("%d (%d ms)", r.late.calls, r.late.worst.Milliseconds()),
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
	return strings.Join(parts, "; ")
}

// judge fills in the row from what the processes did, given each key's limit and
// how much of it may be over-admitted. timeout is what a call may take, allowance
// what it may take beyond that unnoticed.
func (r *row) judge(histories []history, limits []limit, bound func(calls []call, l limit) int64, timeout, allowance time.Duration) {
	for _, h := range histories {
		l := late(h, timeout, allowance)
		r.late.calls += l.calls
		r.late.worst = max(r.late.worst, l.worst)
		r.calls += len(h.calls)
		for _, c := range h.calls {
			switch {
			case c.outcome == failed:
				r.errors++
			case c.outcome == allowed:
				r.admitted++
			}
			if c.degraded {
				r.degraded++
			}
		}
	}
	for key, calls := range byKey(histories, len(limits)) {
		over, most := overAdmitted(calls, limits[key]), bound(calls, limits[key])
		r.overAll += over
		if key == 0 || over-most > r.over-r.bound || over-most == r.over-r.bound && over > r.over {
			r.over, r.bound = over, most
		}
		wrong := wrongRefusals(calls, limits[key], 0)
		r.refused += len(wrong)
		r.held += len(where(wrong, func(c call) bool { return !c.degraded }))
	}
}
