package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// sample is one measurement: one system and number of callers in one round.
type sample struct {
	System      string  `json:"system"`
	Callers     int     `json:"callers"`
	Round       int     `json:"round"`
	Seconds     float64 `json:"seconds"`
	Decisions   int64   `json:"decisions"`
	Failed      int64   `json:"failed"`
	Failure     string  `json:"failure,omitempty"` // the last one
	PerSecond   float64 `json:"decisionsPerSecond"`
	P50         float64 `json:"p50Microseconds"`
	P99         float64 `json:"p99Microseconds"`
	AskerCPU    float64 `json:"askerCPUSecondsPerMillion"`
	OwnerCPU    float64 `json:"ownerCPUSecondsPerMillion"`
	AskerAllocs float64 `json:"askerAllocsPerDecision"`
	OwnerAllocs float64 `json:"ownerAllocsPerDecision"`
	Others      float64 `json:"othersCPUs"`     // busy with anything else
	OthersHere  float64 `json:"othersHereCPUs"` // of that, on the CPU of both processes
}

func (s sample) cpu() float64    { return s.AskerCPU + s.OwnerCPU }
func (s sample) allocs() float64 { return s.AskerAllocs + s.OwnerAllocs }

// unknown stands for what the system doesn't tell.
const unknown = -1

func newSample(sum *caller, seen observation) sample {
	before, after := seen.before, seen.after
	asker, owner := after.asker.since(before.asker), after.owner.since(before.owner)
	perSecond := float64(sum.total()) / seen.took.Seconds()
	s := sample{
		Seconds:     seen.took.Seconds(),
		Decisions:   sum.total(),
		Failed:      sum.failed,
		PerSecond:   perSecond,
		P50:         sum.quantile(0.50),
		P99:         sum.quantile(0.99),
		AskerCPU:    asker.cpu / perSecond * 1e6,
		OwnerCPU:    owner.cpu / perSecond * 1e6,
		AskerAllocs: asker.allocs / perSecond,
		OwnerAllocs: owner.allocs / perSecond,
	}
	if sum.failure != nil {
		s.Failure = sum.failure.Error()
	}
	s.Others, s.OthersHere = after.machine.since(before.machine, pinned())
	// The ticks of /proc/stat are coarse: a little less than nothing is nothing.
	for _, busy := range []*float64{&s.Others, &s.OthersHere} {
		if *busy != unknown {
			*busy = max(*busy-asker.cpu-owner.cpu, 0)
		}
	}
	return s
}

// report is all that a run found out.
type report struct {
	Date      time.Time `json:"date"`
	Go        string    `json:"go"`
	Platform  string    `json:"platform"`
	Condition string    `json:"condition"`
	CPUs      int       `json:"cpus"` // that the processes may use
	Keys      int       `json:"keys"`
	Profiled  bool      `json:"profiled"`
	Samples   []sample  `json:"samples"`

	plan plan
}

func newReport(p plan) report {
	r := report{
		Date:     time.Now().UTC().Truncate(time.Second),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:     runtime.NumCPU(),
		Keys:     p.keys,
		Profiled: p.profile != "",
		plan:     p,
	}
	r.Condition = fmt.Sprintf("unpinned, %d CPUs", r.CPUs)
	if cpu := pinned(); cpu >= 0 {
		r.Condition = fmt.Sprintf("one core: both processes pinned to CPU %d", cpu)
	}
	if n := runtime.GOMAXPROCS(0); n != r.CPUs {
		r.Condition += fmt.Sprintf(", GOMAXPROCS %d", n)
	}
	if p.rate > 0 {
		r.Condition += fmt.Sprintf("; open loop, %d hits/s", p.rate)
	}
	if r.Profiled {
		r.Condition += ", while being profiled"
	}
	return r
}

// write writes the files that the plan wants.
func (r report) write(p plan) error {
	if p.svg != "" {
		if err := os.WriteFile(p.svg, []byte(r.chart()), 0o644); err != nil {
			return err
		}
	}
	if p.json == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(p.json, append(b, '\n'), 0o644)
}

// text is what the program prints.
func (r report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Forwarded decisions, asker and owner process on loopback, %d keys, one hit per call\n", r.Keys)
	fmt.Fprintf(&b, "%s; %s %s; %s\n", r.Condition, r.Go, r.Platform, r.Date.Format(time.DateTime+" MST"))
	brackets := " (min–max)"
	if r.plan.rounds == 1 {
		brackets = ""
	}
	fmt.Fprintf(&b, "Figures: %s%s\n\n", r.plan.figures(), brackets)
	b.WriteString(r.figures().String())
	if len(r.plan.systems) > 1 {
		fmt.Fprintf(&b, "\nTimes those of %s, round by round\n\n", r.plan.systems[0].name)
		b.WriteString(r.ratios().String())
	}
	b.WriteString("\nCPU: seconds per million decisions, asker + owner. allocs: per decision, asker + owner.\n" +
		"others: CPUs busy with anything else meanwhile, stolen time included.\n")
	b.WriteString("\nothers, round by round\n\n")
	b.WriteString(r.others().String())
	for _, s := range r.Samples {
		if s.Failed > 0 {
			fmt.Fprintf(&b, "%d decisions of %s with %d callers in round %d failed; the last: %s\n", s.Failed, s.System, s.Callers, s.Round, s.Failure)
		}
	}
	return b.String()
}

// figures is the main table.
func (r report) figures() table {
	t := table{{"system", "callers", "decisions/s", "p50 µs", "p99 µs", "CPU s/M", "allocs", "others", "failed"}}
	here := pinnedIn(r.Samples)
	if here {
		t[0] = append(t[0], "others here")
	}
	for _, callers := range r.plan.callers {
		for _, e := range r.plan.systems {
			of := r.of(e.name, callers)
			row := []string{e.name, fmt.Sprint(callers)}
			for _, f := range []func(sample) float64{
				func(s sample) float64 { return s.PerSecond },
				func(s sample) float64 { return s.P50 },
				func(s sample) float64 { return s.P99 },
				sample.cpu,
				sample.allocs,
				func(s sample) float64 { return s.Others },
			} {
				row = append(row, spreadOf(of, f).String())
			}
			var failed int64
			for _, s := range of {
				failed += s.Failed
			}
			row = append(row, fmt.Sprint(failed))
			if here {
				row = append(row, spreadOf(of, func(s sample) float64 { return s.OthersHere }).String())
			}
			t = append(t, row)
		}
	}
	return t
}

// ratios compares every system with the first.
func (r report) ratios() table {
	t := table{{"system", "callers", "decisions/s", "p50", "CPU"}}
	for _, callers := range r.plan.callers {
		first := r.of(r.plan.systems[0].name, callers)
		for _, e := range r.plan.systems[1:] {
			of := r.of(e.name, callers)
			row := []string{e.name, fmt.Sprint(callers)}
			for _, f := range []func(sample) float64{
				func(s sample) float64 { return s.PerSecond },
				func(s sample) float64 { return s.P50 },
				sample.cpu,
			} {
				var quotients []float64
				for i := range of { // both are in the order of the rounds
					quotients = append(quotients, f(of[i])/f(first[i]))
				}
				row = append(row, spreadOf(quotients, func(q float64) float64 { return q }).String())
			}
			t = append(t, row)
		}
	}
	return t
}

// others is how busy the rest of the machine was in each round, and the CPU of the two
// processes with it if they have one.
func (r report) others() table {
	t := table{{"system", "callers"}}
	for round := range r.plan.rounds {
		t[0] = append(t[0], fmt.Sprint("round ", round+1))
	}
	for _, callers := range r.plan.callers {
		for _, e := range r.plan.systems {
			row := []string{e.name, fmt.Sprint(callers)}
			for _, s := range r.of(e.name, callers) {
				cell := "–"
				if s.Others != unknown {
					cell = fmt.Sprintf("%.2f", s.Others)
				}
				if s.OthersHere != unknown {
					cell += fmt.Sprintf(", %.2f here", s.OthersHere)
				}
				row = append(row, cell)
			}
			t = append(t, row)
		}
	}
	return t
}

// of returns the samples of a system with so many callers, by round.
func (r report) of(system string, callers int) []sample {
	var of []sample
	for _, s := range r.Samples {
		if s.System == system && s.Callers == callers {
			of = append(of, s)
		}
	}
	return of
}

// pinnedIn reports whether the samples tell how busy others kept one CPU.
func pinnedIn(samples []sample) bool {
	return len(samples) > 0 && samples[0].OthersHere != unknown
}
