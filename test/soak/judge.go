package main

import (
	"errors"
	"fmt"
	"time"
)

// figure is one of the things that must not grow.
type figure struct {
	name, unit string
	of         func(sample) float64
	slack      float64 // by which the line may rise anyway: a few connections' worth
}

var figures = [...]figure{
	{"goroutines", "", func(s sample) float64 { return float64(s.Goroutines) }, 15},
	{"file descriptors", "", func(s sample) float64 { return float64(s.Files) }, 8},
	{"heap, alive", "MB", func(s sample) float64 { return float64(s.Heap) / 1e6 }, 1.5},
}

func (f figure) title() string {
	if f.unit == "" {
		return f.name
	}
	return f.name + ", " + f.unit
}

// mostRise is by how much of its mean a line may rise over the second half.
const mostRise = 0.1

// least is how many samples a line needs at least.
const least = 20

// judge looks whether the figures of the staying replicas are flat, and says what they
// are.
func (s *soak) judge() error {
	var errs []error
	for _, c := range s.children[:staying] {
		half := len(c.samples) / 2
		if len(c.samples)-half < least {
			return fmt.Errorf("%s said only %d things; go on for longer", c.name, len(c.samples))
		}
		for _, f := range figures {
			mean, rise := fit(c.times[half:], c.samples[half:], f.of)
			fmt.Fprintf(s.out, "%s: %s: %.1f %s on average in the second half, rising by %.2f\n", c.name, f.name, mean, f.unit, rise)
			if rise > max(mostRise*mean, f.slack) {
				errs = append(errs, fmt.Errorf("%s: %s rise by %.2f, from %.1f on average", c.name, f.name, rise, mean))
			}
		}
		last := c.samples[len(c.samples)-1]
		fmt.Fprintf(s.out, "%s: %d decisions, %d of them Degraded, %d errors, %d buckets\n", c.name, last.Decisions, last.Degraded, last.Errors, last.Entries)
		if last.Errors > 0 || last.Decisions == 0 {
			errs = append(errs, fmt.Errorf("%s: %d errors in %d decisions", c.name, last.Errors, last.Decisions))
		}
	}
	fmt.Fprintf(s.out, "%d times a replica was replaced\n", len(s.replaced))
	return errors.Join(errs...)
}

// fit returns the mean of a figure, and by how much the line of least squares rises from
// the first sample to the last.
func fit(times []time.Duration, samples []sample, of func(sample) float64) (mean, rise float64) {
	n := float64(len(samples))
	var meanTime float64
	for i, s := range samples {
		mean += of(s) / n
		meanTime += times[i].Seconds() / n
	}
	var above, below float64
	for i, s := range samples {
		t := times[i].Seconds() - meanTime
		above += t * (of(s) - mean)
		below += t * t
	}
	if below == 0 {
		return mean, 0
	}
	return mean, above / below * (times[len(times)-1] - times[0]).Seconds()
}
