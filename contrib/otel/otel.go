// Package otel shows a node's metrics and decisions to OpenTelemetry.
//
//	registration, err := otel.Register(meterProvider, node)
//	...
//	defer registration.Unregister()
//
// [Register] makes instruments that the SDK reads when it exports; between exports
// nothing is done. They are those of package prom, from one table: shoal.decisions here is
// shoal_decisions_total there. Every value has the attribute shoal.replica, the node's
// name, so that two nodes in one process don't collide. No key is ever an attribute.
//
// OpenTelemetry has no histogram that can be read from what somebody else has counted,
// so the two histograms appear as the counters that Prometheus makes of one: name.bucket
// with the attribute le, the inclusive upper bound, as a cumulative count, name.sum and
// name.count.
//
// [Trace] wraps what decides, and sets attributes on the caller's own span: the rule, what
// was decided, how long to wait. No span is made for a decision: at half a microsecond
// for a decision, a span would cost several times what it describes. Where the context
// has no span that is recorded, it costs a look into the context.
//
//	limit, err := httpmw.New(otel.Trace(node), rule, httpmw.ClientIP())
//
// The package needs OpenTelemetry's API alone, not its SDK, in the version that gRPC asks
// for anyway.
package otel

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/internal/series"
)

// scope names the instruments' origin.
const scope = "github.com/shoal-dev/shoal/contrib/otel"

// Source is what is shown. *cluster.Node is one.
type Source interface {
	Name() string
	Metrics() cluster.Metrics
}

// Register makes the instruments of a node. Unregister what it returns before the node
// is closed, or after; the node doesn't mind. The error is the meter's.
func Register(provider metric.MeterProvider, node Source) (metric.Registration, error) {
	r := registry{meter: provider.Meter(scope)}
	for _, m := range series.Table() {
		if m.Kind == series.Histogram {
			r.histogram(m)
		} else {
			r.values(m)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	replica := attribute.String("shoal.replica", node.Name())
	return r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := node.Metrics()
		for _, observe := range r.observers {
			observe(o, &now, replica)
		}
		return nil
	}, r.instruments...)
}

// registry is the instruments that are being made.
type registry struct {
	meter       metric.Meter
	instruments []metric.Observable
	observers   []func(o metric.Observer, now *cluster.Metrics, replica attribute.KeyValue)
	err         error // the first
}

// instrument makes one for values of that kind.
func (r *registry) instrument(name, unit, help string, kind series.Kind) (i metric.Float64Observable) {
	var err error
	if kind == series.Gauge {
		i, err = r.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
	} else {
		i, err = r.meter.Float64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
	}
	if r.err == nil {
		r.err = err
	}
	r.instruments = append(r.instruments, i)
	return i
}

func (r *registry) values(m series.Metric) {
	i := r.instrument(m.Name, m.Unit, m.Help, m.Kind)
	r.observers = append(r.observers, func(o metric.Observer, now *cluster.Metrics, replica attribute.KeyValue) {
		m.Values(now, func(value float64, labels ...string) {
			attributes := []attribute.KeyValue{replica}
			for at, label := range m.Labels {
				attributes = append(attributes, attribute.String(label, labels[at]))
			}
			o.ObserveFloat64(i, value, metric.WithAttributes(attributes...))
		})
	})
}

func (r *registry) histogram(m series.Metric) {
	bucket := r.instrument(m.Name+".bucket", "{observation}", m.Help+" How many up to le.", series.Counter)
	sum := r.instrument(m.Name+".sum", m.Unit, m.Help+" Their sum.", series.Counter)
	count := r.instrument(m.Name+".count", "{observation}", m.Help+" Their number.", series.Counter)
	r.observers = append(r.observers, func(o metric.Observer, now *cluster.Metrics, replica attribute.KeyValue) {
		h, below := m.Histogram(now), int64(0)
		for i, n := range h.Counts {
			le := "+Inf"
			if i < len(h.Bounds) {
				le = strconv.FormatFloat(float64(h.Bounds[i])/m.Divisor, 'g', -1, 64)
			}
			below += n
			o.ObserveFloat64(bucket, float64(below), metric.WithAttributes(replica, attribute.String("le", le)))
		}
		o.ObserveFloat64(sum, float64(h.Sum)/m.Divisor, metric.WithAttributes(replica))
		o.ObserveFloat64(count, float64(below), metric.WithAttributes(replica))
	})
}
