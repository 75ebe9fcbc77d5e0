package main

import (
	"bytes"
	"fmt"
	"time"
)

const (
	plotWidth, panelHeight = 900, 180
	left, right, top, gap  = 70, 30, 80, 50
)

var colors = [...]string{"#0072b2", "#d55e00", "#009e73"}

// draw returns the figures of the staying replicas over the time, one panel each.
func draw(s *soak) []byte {
	var b bytes.Buffer
	height := top + len(figures)*(panelHeight+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15">%v with %d replicas, of which %d stay; %d times another was replaced (grey)</text>`+"\n", left, s.length.Round(time.Second), replicas, staying, len(s.replaced))
	for i, c := range s.children[:staying] {
		fmt.Fprintf(&b, `<text x="%d" y="44" fill="%s">%s</text>`+"\n", left+i*90, colors[i], c.name)
	}
	for i, f := range figures {
		s.panel(&b, f, top+i*(panelHeight+gap))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// round returns a round number, in quarters too, that is no lower than v.
func round(v float64) float64 {
	unit := 1.0
	for v > 10*unit {
		unit *= 10
	}
	for _, n := range [...]float64{1, 2, 4, 6, 8, 10} {
		if v <= n*unit {
			return n * unit
		}
	}
	return v
}

// panel draws one figure, from 0 up to a round number.
func (s *soak) panel(b *bytes.Buffer, f figure, y int) {
	high := 0.0
	for _, c := range s.children[:staying] {
		for _, now := range c.samples {
			high = max(high, f.of(now))
		}
	}
	high = round(high)
	across := func(t time.Duration) float64 {
		return left + float64(plotWidth-left-right)*min(t.Seconds()/s.length.Seconds(), 1)
	}
	up := func(v float64) float64 { return float64(y+panelHeight) - v/high*panelHeight }
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left, y-6, f.title())
	for _, at := range s.replaced {
		fmt.Fprintf(b, `<path d="M%.1f %d v%d" stroke="#ddd"/>`+"\n", across(at), y, panelHeight)
	}
	for i := range 5 {
		v := high * float64(i) / 4
		fmt.Fprintf(b, `<path d="M%d %.1f H%d" stroke="#eee"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n", left, up(v), plotWidth-right, left-6, up(v)+4, v)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%v</text>`+"\n", across(s.length/4*time.Duration(i)), y+panelHeight+16, (s.length / 4 * time.Duration(i)).Round(time.Second))
	}
	for i, c := range s.children[:staying] {
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" points="`, colors[i])
		for j, now := range c.samples {
			fmt.Fprintf(b, "%.1f,%.1f ", across(c.times[j]), up(f.of(now)))
		}
		b.WriteString(`"/>` + "\n")
	}
}
