package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

const (
	maxRatio = 5         // of p99 during the move to that before
	maxExtra = 200 << 20 // bytes of live memory, by all processes together
)

// report is what was measured.
type report struct {
	Keys, Empty, Rate int
	Fill              time.Duration // to hit every key
	Placed            time.Duration // from the start of the fourth until every token was in place
	Moved             time.Duration // and until every copy was
	Phases            [phaseCount]outcome
	Idle, Before      []Memory                 // by process: after a collection, and the peak under load
	During, Settled   []Memory                 // the peak, and after a collection
	Tallies           []cluster.HandoffMetrics // by process, after the move
	seeds             []string
}

// outcome is what became of the hits of a phase, at all replicas.
type outcome struct {
	Hits, Degraded, Admitted, Loose, Failed int
	P50, P99, P999                          time.Duration
	micros                                  []uint32
}

func (o *outcome) add(p Phase) {
	o.micros = append(o.micros, p.Micros...)
	slices.Sort(o.micros)
	o.Hits = len(o.micros)
	o.Degraded += p.Degraded
	o.Admitted += p.Admitted
	o.Loose += p.Loose
	o.Failed += p.Failed
	o.P50, o.P99, o.P999 = o.quantile(500), o.quantile(990), o.quantile(999)
}

// quantile returns the duration that that many of a thousand hits don't exceed.
func (o *outcome) quantile(of1000 int) time.Duration {
	if len(o.micros) == 0 {
		return 0
	}
	return time.Duration(o.micros[(len(o.micros)-1)*of1000/1000]) * time.Microsecond
}

// ratios are p99 during the move over that before, and over that of the worse of the
// two phases without a move: before it the machine may have had less to do for others.
func (r *report) ratios() (toBefore, toQuiet float64) {
	p99 := func(phase int) float64 { return float64(r.Phases[phase].P99) }
	return p99(during) / p99(before), p99(during) / max(p99(before), p99(after))
}

// extra is what the move took of live memory, at its peak and in the end, more than
// there was when the three were idle.
func (r *report) extra() (peak, end int64) {
	idle := int64(sum(r.Idle).Live)
	return int64(sum(r.During).Live) - idle, int64(sum(r.Settled).Live) - idle
}

func sum(ms []Memory) (s Memory) {
	for _, m := range ms {
		s.Live += m.Live
		s.Resident += m.Resident
	}
	return s
}

func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d live buckets and %d empty ones, on 3 replicas after %.1f s; a fourth joins at %d decisions a second.\n",
		r.Keys, r.Empty, r.Fill.Seconds(), r.Rate)
	fmt.Fprintf(&b, "Every partition was in place after %.2f s, and its standby complete after %.2f s.\n\n", r.Placed.Seconds(), r.Moved.Seconds())
	fmt.Fprintf(&b, "%-8s %9s %9s %9s %9s %9s %9s %9s %9s\n", "", "hits", "p50", "p99", "p99.9", "degraded", "failed", "admitted", "loosely")
	for i, name := range []string{"warm-up", "before", "during", "after"} {
		o := &r.Phases[i]
		fmt.Fprintf(&b, "%-8s %9d %9v %9v %9v %9d %9d %9d %9d\n", name, o.Hits, o.P50, o.P99, o.P999, o.Degraded, o.Failed, o.Admitted, o.Loose)
	}
	toBefore, toQuiet := r.ratios()
	fmt.Fprintf(&b, "\np99 during the move: %.2f times that before, %.2f times the worse of before and after (at most %d).\n\n", toBefore, toQuiet, maxRatio)
	fmt.Fprintf(&b, "hand-off after the move: %+v\n\n", r.Tallies)
	fmt.Fprintf(&b, "%-34s %8s  %s\n", "memory, MB", "sum", "by process")
	for _, row := range []struct {
		name string
		ms   []Memory
	}{{"idle, collected", r.Idle}, {"before, peak", r.Before}, {"during, peak", r.During}, {"after, collected", r.Settled}} {
		fmt.Fprintf(&b, "live      %-24s %s\n", row.name, megabytes(row.ms, func(m Memory) uint64 { return m.Live }))
		fmt.Fprintf(&b, "resident  %-24s %s\n", row.name, megabytes(row.ms, func(m Memory) uint64 { return m.Resident }))
	}
	peak, end := r.extra()
	fmt.Fprintf(&b, "\nThe move took %.1f MB of live memory at its peak (at most %d), and %.1f MB stayed.\n",
		float64(peak)/(1<<20), maxExtra>>20, float64(end)/(1<<20))
	return b.String()
}

func megabytes(ms []Memory, of func(Memory) uint64) string {
	var total uint64
	var each []string
	for _, m := range ms {
		total += of(m)
		each = append(each, fmt.Sprintf("%.1f", float64(of(m))/(1<<20)))
	}
	return fmt.Sprintf("%8.1f  %s", float64(total)/(1<<20), strings.Join(each, " "))
}

// errSlow is the one fault that a busy machine may have made.
var errSlow = errors.New("p99 during the move")

// check returns what is not as it must be, or errSlow itself, wrapped, if it is that
// alone.
func (r *report) check() error {
	var errs []error
	if _, ratio := r.ratios(); ratio > maxRatio {
		errs = append(errs, fmt.Errorf("%w: %.1f times that without one; at most %d", errSlow, ratio, maxRatio))
	}
	if peak, _ := r.extra(); peak > maxExtra {
		errs = append(errs, fmt.Errorf("the move takes %d MB; at most %d", peak>>20, maxExtra>>20))
	}
	for i := range r.Phases {
		if o := &r.Phases[i]; o.Admitted > 0 || o.Failed > 0 {
			errs = append(errs, fmt.Errorf("phase %d: %d admitted by empty buckets, %d errors", i, o.Admitted, o.Failed))
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
