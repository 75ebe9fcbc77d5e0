package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// steady is a run in which the heap of one replica rises by a number of bytes a second.
func steady(rise uint64) *soak {
	s := &soak{length: 2 * time.Minute, out: io.Discard, replaced: []time.Duration{time.Second, time.Minute}}
	for i := range s.children {
		c := &child{name: "r"}
		for t := range 120 {
			now := sample{Goroutines: 90 + t%7, Files: 30 + t%3, Heap: 50e6, Decisions: 1}
			if i == 1 {
				now.Heap += uint64(t) * rise
			}
			c.samples, c.times = append(c.samples, now), append(c.times, time.Duration(t)*time.Second)
		}
		s.children[i] = c
	}
	return s
}

func TestJudge(t *testing.T) {
	if err := steady(10_000).judge(); err != nil {
		t.Errorf("0.6 MB more in a minute: %v", err)
	}
	if err := steady(200_000).judge(); err == nil || !strings.Contains(err.Error(), "heap") {
		t.Errorf("12 MB more in a minute: %v", err)
	}
	failing := steady(0)
	failing.children[0].samples[119].Errors = 1
	if err := failing.judge(); err == nil {
		t.Error("an error is nothing")
	}
	short := steady(0)
	short.children[2].samples = short.children[2].samples[:30]
	if err := short.judge(); err == nil {
		t.Error("a few samples are enough")
	}
}

func TestFit(t *testing.T) {
	s := steady(1e6)
	mean, rise := fit(s.children[1].times, s.children[1].samples, figures[2].of)
	if math.Abs(mean-109.5) > 1e-6 || math.Abs(rise-119) > 1e-6 {
		t.Errorf("mean %v, rise %v", mean, rise)
	}
	if _, rise := fit(s.children[0].times[:1], s.children[0].samples[:1], figures[2].of); rise != 0 {
		t.Errorf("of one sample: %v", rise)
	}
}

func TestDrawIsXML(t *testing.T) {
	picture := draw(steady(0))
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(picture, []byte("<polyline")); n != staying*len(figures) {
		t.Errorf("%d lines", n)
	}
}
