// Package series is the table of what Shoal measures: one row for each metric, with its
// name, its unit, its labels and where its values stand in a cluster.Metrics. What
// speaks Prometheus (contrib/prom) and OpenTelemetry (contrib/otel) goes over the same
// table, so both export the same, and docs/observability.md is tested against it.
//
// A name is in the form of OpenTelemetry, such as shoal.replication.lag, and a unit in
// that of UCUM. Prometheus's name follows from both, as in OpenTelemetry's own
// translation: dots become underscores, seconds and bytes are appended, and counters end
// in _total. So a dashboard for one fits the other.
//
// Labels are names of rules, of members of the cluster, and words from short lists.
// A key is never one: keys are without number, and may be personal data. The number of
// rules is bounded by the node itself.
package series

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shoal-dev/shoal/cluster"
)

// Kind is what a metric's values are.
type Kind uint8

const (
	// Counter only grows, from 0 at the start of the node.
	Counter Kind = iota
	// Gauge is as it is now.
	Gauge
	// Histogram counts what was measured by its size, since the start of the node.
	Histogram
)

// String returns the kind in Prometheus's word.
func (k Kind) String() string {
	return [...]string{Counter: "counter", Gauge: "gauge", Histogram: "histogram"}[k]
}

// Metric is one row of the table.
type Metric struct {
	Name   string // OpenTelemetry's
	Unit   string // UCUM's
	Kind   Kind
	Labels []string
	Help   string
	// Values calls add for each value, with those of its labels. nil for histograms.
	Values func(m *cluster.Metrics, add Add)
	// Histogram returns the distribution; Unit is Divisor times its unit.
	Histogram func(m *cluster.Metrics) cluster.Histogram
	Divisor   float64
}

// Add takes a value and those of its labels, in the order of Metric.Labels.
type Add func(value float64, labels ...string)

// Prometheus returns the name that the metric has in Prometheus.
func (m *Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// OtherRules is how the label rule reads for rules that aren't counted each for itself.
const OtherRules = "(other)"

// ruleLabel returns a name as a label, which must be valid UTF-8 and no other's.
func ruleLabel(name string) string {
	switch {
	case name == "":
		return OtherRules
	case name == OtherRules || !utf8.ValidString(name):
		return strconv.QuoteToASCII(name)
	}
	return name
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
