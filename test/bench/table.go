package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is rows of cells; the first row is the heading.
type table [][]string

// String sets the cells in columns: the first to the left, the others to the
// right.
func (t table) String() string {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t {
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case i > 0:
				b.WriteString("  " + gap + cell)
			case len(row) > 1:
				b.WriteString(cell + gap)
			default:
				b.WriteString(cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// spread is what several rounds found of one figure.
type spread struct {
	median, min, max float64
	single           bool
}

func spreadOf[T any](of []T, figure func(T) float64) spread {
	values := make([]float64, len(of))
	for i, v := range of {
		values[i] = figure(v)
	}
	if len(values) == 0 {
		return spread{median: unknown}
	}
	slices.Sort(values)
	n := len(values)
	return spread{
		median: (values[(n-1)/2] + values[n/2]) / 2,
		min:    values[0],
		max:    values[n-1],
		single: n == 1,
	}
}

// String gives three digits that count: "1.02M (0.98–1.10)". The unit is the
// median's.
func (s spread) String() string {
	if s.median == unknown {
		return "–"
	}
	unit, divisor := "", 1.0
	switch {
	case s.median >= 1e6:
		unit, divisor = "M", 1e6
	case s.median >= 1e4:
		unit, divisor = "k", 1e3
	}
	decimals := 0
	switch m := s.median / divisor; {
	case m >= 100:
	case m >= 10:
		decimals = 1
	case m >= 1:
		decimals = 2
	default:
		decimals = 3
	}
	text := func(v float64) string { return fmt.Sprintf("%.*f", decimals, v/divisor) }
	if s.single {
		return text(s.median) + unit
	}
	return fmt.Sprintf("%s%s (%s–%s)", text(s.median), unit, text(s.min), text(s.max))
}
