// Package prom shows a node's metrics to Prometheus.
//
//	registry.MustRegister(prom.New(node))
//	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// A [Collector] reads Node.Metrics at each scrape, which takes a fraction of
// a millisecond; between scrapes it does nothing. It registers itself nowhere, least of
// all with Prometheus's global registry. Every metric has the constant label replica,
// the node's name, so that two nodes in one process don't collide in one registry.
//
// Names begin with shoal_; counters end in _total, and histograms are in seconds, or
// count hits. docs/observability.md has the table of all of them. No key is ever a
// label. What is a label is bounded: 128 names of rules and (other), the members of the
// cluster, and short lists of words.
//
// Prometheus's client imports package expvar, which adds /debug/vars, the command line
// and memory statistics, to http.DefaultServeMux: serve a mux of your own to the world.
//
// dashboard.json, beside this file, is a dashboard for Grafana, and alerts.yaml has
// alerting rules for Prometheus. Tests run every query of both on a real Prometheus
// that scrapes three replicas.
package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/internal/series"
)

// Source is what is shown. *cluster.Node is one.
type Source interface {
	Name() string
	Metrics() cluster.Metrics
}

// Collector is a prometheus.Collector. It is safe for concurrent use.
type Collector struct {
	source  Source
	metrics []metric
}

type metric struct {
	series.Metric
	desc *prometheus.Desc
}

// New returns the collector of a node, for a registry of the caller's.
func New(node Source) *Collector {
	c := &Collector{source: node}
	replica := prometheus.Labels{"replica": node.Name()}
	for _, m := range series.Table() {
		c.metrics = append(c.metrics, metric{m, prometheus.NewDesc(m.Prometheus(), m.Help, m.Labels, replica)})
	}
	return c
}

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect sends all metrics as they are now.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := c.source.Metrics()
	for _, m := range c.metrics {
		if m.Kind == series.Histogram {
			out <- m.histogram(&now)
			continue
		}
		kind := prometheus.CounterValue
		if m.Kind == series.Gauge {
			kind = prometheus.GaugeValue
		}
		m.Values(&now, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
		})
	}
}

// histogram adds up the classes, as Prometheus wants them.
func (m *metric) histogram(now *cluster.Metrics) prometheus.Metric {
	h := m.Histogram(now)
	buckets, below := map[float64]uint64{}, uint64(0)
	for i, bound := range h.Bounds {
		below += uint64(h.Counts[i])
		buckets[float64(bound)/m.Divisor] = below
	}
	return prometheus.MustNewConstHistogram(m.desc, uint64(h.Count()), float64(h.Sum)/m.Divisor, buckets)
}
