package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart draws the medians as an SVG of two panels for each number of callers: decisions
// a second, and CPU seconds per million. Both are logarithmic, as the systems differ by
// orders of magnitude. It follows the reader's colour scheme.
func (r report) chart() string {
	c := chart{systems: r.plan.systems, y: 64}
	for _, callers := range r.plan.callers {
		c.panel(fmt.Sprintf("decisions a second, %d callers (more is better)", callers), r.medians(callers, func(s sample) float64 { return s.PerSecond }))
		c.panel(fmt.Sprintf("CPU seconds per million decisions, %d callers, all processes (less is better)", callers), r.medians(callers, sample.cpu))
	}
	title := fmt.Sprintf("One decision by another process on the same machine: %s", r.Condition)
	sub := fmt.Sprintf("%s, %d keys, %s, %s; the scales are logarithmic", r.plan.figures(), r.Keys, r.Go, r.Date.Format("2006-01-02"))
	return fmt.Sprintf(chartFrame, c.y, c.y, html.EscapeString(title), html.EscapeString(title), html.EscapeString(sub), c.body.String())
}

const chartFrame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 %d" width="760" height="%d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="13">
<style>
:root { color-scheme: light dark }
.back { fill: #fff } text { fill: #1f2933 } .sub { fill: #52606d } .ours { fill: #0b7285 } .other { fill: #9fb3c8 }
@media (prefers-color-scheme: dark) { .back { fill: #0d1117 } text { fill: #e4e7eb } .sub { fill: #9aa5b1 } .ours { fill: #3bc9db } .other { fill: #52606d } }
</style>
<rect class="back" width="100%%" height="100%%" rx="8"/>
<text x="20" y="28" font-size="15" font-weight="600">%s</text>
<text x="20" y="47" class="sub">%s</text>
%s</svg>
`

// chart is a drawing that grows downwards.
type chart struct {
	systems []entry
	body    strings.Builder
	y       int
}

const (
	barLeft, barWidth = 170, 500
	barHeight         = 16
	barStep           = 22
)

// panel draws a bar for each system.
func (c *chart) panel(title string, values []float64) {
	c.y += 12
	fmt.Fprintf(&c.body, "<text x=\"20\" y=\"%d\" font-weight=\"600\">%s</text>\n", c.y, html.EscapeString(title))
	c.y += 10
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			least, most = min(least, v), max(most, v)
		}
	}
	least /= 2 // so that the smallest bar has a length
	for i, v := range values {
		class := "other"
		if strings.HasPrefix(c.systems[i].name, "shoal") {
			class = "ours"
		}
		width := 0.0
		if v > 0 {
			width = max(barWidth*math.Log(v/least)/math.Log(most/least), 1)
		}
		middle := c.y + barHeight - 4
		fmt.Fprintf(&c.body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", barLeft-8, middle, html.EscapeString(c.systems[i].name))
		fmt.Fprintf(&c.body, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>", class, barLeft, c.y, width, barHeight)
		fmt.Fprintf(&c.body, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", barLeft+width+6, middle, spread{median: v, single: true})
		c.y += barStep
	}
	c.y += 12
}

// medians are one figure of each system, in the plan's order.
func (r report) medians(callers int, figure func(sample) float64) []float64 {
	var values []float64
	for _, e := range r.plan.systems {
		values = append(values, spreadOf(r.of(e.name, callers), figure).median)
	}
	return values
}
