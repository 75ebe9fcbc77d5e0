package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plan is what the command line asks for.
type plan struct {
	systems []entry
	callers []int
	rounds  int
	time    time.Duration // measured, of each system and number of callers in a round
	warmup  time.Duration // before each measurement
	keys    int
	rate    int // hits a second in an open loop, or 0
	pin     bool
	json    string // file, or ""
	svg     string // file, or ""
	profile string // folder, or ""
}

// flagError is a fault of the command line.
type flagError struct{ error }

// helpError is the answer to -h. It is flag.ErrHelp with the text to print.
type helpError struct{ text string }

func (e helpError) Error() string        { return e.text }
func (e helpError) Is(target error) bool { return target == flag.ErrHelp }

const (
	maxCallers = 100_000
	maxKeys    = 10_000_000
	maxRate    = 10_000_000
	minTime    = 10 * time.Millisecond

	// overhead is about how long a system takes to start and to stop.
	overhead = time.Second
)

func parsePlan(args []string) (plan, error) {
	var p plan
	var callers, names string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&callers, "callers", "64,256", "numbers of closed-loop `callers`, one measurement each")
	f.StringVar(&names, "systems", all, "`names` of what to measure; the others are compared with the first. \"all\" are those whose server is installed")
	f.IntVar(&p.rounds, "rounds", 5, "how often to measure everything")
	f.DurationVar(&p.time, "time", time.Second, "how long one measurement lasts")
	f.DurationVar(&p.warmup, "warmup", 200*time.Millisecond, "how long the callers run before each measurement")
	f.IntVar(&p.keys, "keys", 10_000, "how many different keys are asked for, at random")
	f.IntVar(&p.rate, "rate", 0, "`hits` a second in an open loop: latency counts from when a hit was due, and -callers only says how many may be asked for at a time (default: callers ask without pause)")
	f.BoolVar(&p.pin, "pin", false, "keep both processes on one CPU")
	f.StringVar(&p.json, "json", "", "write every single measurement to this `file`")
	f.StringVar(&p.svg, "svg", "", "draw the medians in this `file`")
	f.StringVar(&p.profile, "profile", "", "write CPU profiles of both processes into this `folder`; they slow the run down")
	if err := f.Parse(args); err == flag.ErrHelp {
		return p, helpError{help(f)}
	} else if err != nil {
		return p, &flagError{err}
	}
	if f.NArg() > 0 {
		return p, &flagError{fmt.Errorf("unexpected argument %q; everything is a flag", f.Arg(0))}
	}
	var err error
	if p.callers, err = parseCallers(callers); err != nil {
		return p, &flagError{fmt.Errorf("-callers: %w", err)}
	}
	if p.systems, err = parseSystems(names); err != nil {
		return p, &flagError{fmt.Errorf("-systems: %w", err)}
	}
	if err := p.validate(); err != nil {
		return p, &flagError{err}
	}
	return p, nil
}

func (p plan) validate() error {
	switch {
	case p.rounds < 1:
		return fmt.Errorf("-rounds: %d is not at least 1", p.rounds)
	case p.time < minTime:
		return fmt.Errorf("-time: %v is not at least %v, as the system counts CPU time in such ticks", p.time, minTime)
	case p.warmup < 0:
		return fmt.Errorf("-warmup: %v is negative", p.warmup)
	case p.rate < 0 || p.rate > maxRate:
		return fmt.Errorf("-rate: %d is not between 0 and %d", p.rate, maxRate)
	case p.keys < 1 || p.keys > maxKeys:
		return fmt.Errorf("-keys: %d is not between 1 and %d", p.keys, maxKeys)
	}
	if p.profile != "" {
		if info, err := os.Stat(p.profile); err != nil || !info.IsDir() {
			return fmt.Errorf("-profile: %s is not a folder", p.profile)
		}
	}
	return nil
}

// figures says what a figure is made of.
func (p plan) figures() string {
	if p.rounds == 1 {
		return fmt.Sprintf("one round of %v", p.time)
	}
	return fmt.Sprintf("medians of %d rounds of %v", p.rounds, p.time)
}

// length is about how long the plan takes.
func (p plan) length() time.Duration {
	one := overhead + time.Duration(len(p.callers))*(p.warmup+p.time)
	return (time.Duration(p.rounds*len(p.systems)) * one).Round(time.Second)
}

func parseCallers(s string) ([]int, error) {
	var callers []int
	for field := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > maxCallers {
			return nil, fmt.Errorf("%q is not a number from 1 to %d; write them as 1,64,256", field, maxCallers)
		}
		if slices.Contains(callers, n) {
			return nil, fmt.Errorf("%d is there twice", n)
		}
		callers = append(callers, n)
	}
	return callers, nil
}

// all are the systems that can run here.
const all = "all"

func parseSystems(s string) ([]entry, error) {
	var chosen []entry
	if s == all {
		for _, e := range systems() {
			if e.missing() == "" {
				chosen = append(chosen, e)
			}
		}
		return chosen, nil
	}
	for field := range strings.SplitSeq(s, ",") {
		e, err := findSystem(strings.TrimSpace(field))
		if err != nil {
			return nil, err
		}
		if why := e.missing(); why != "" {
			return nil, fmt.Errorf("%s: %s; install it from your system's packages", e.name, why)
		}
		if slices.ContainsFunc(chosen, func(c entry) bool { return c.name == e.name }) {
			return nil, fmt.Errorf("%s is there twice", e.name)
		}
		chosen = append(chosen, e)
	}
	return chosen, nil
}

func help(f *flag.FlagSet) string {
	var b strings.Builder
	b.WriteString("bench measures decisions that are forwarded from one process to another on loopback.\n\nSystems:\n")
	for _, e := range systems() {
		fmt.Fprintf(&b, "  %-16s %s\n", e.name, e.about)
		if why := e.missing(); why != "" {
			fmt.Fprintf(&b, "  %-16s (%s)\n", "", why)
		}
	}
	b.WriteString("\nFlags:\n")
	f.SetOutput(&b)
	f.PrintDefaults()
	b.WriteString("\nThe package comment (go doc) says how to read the table.\n")
	return b.String()
}
