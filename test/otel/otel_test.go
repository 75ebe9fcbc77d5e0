// Package otel tries contrib/otel with OpenTelemetry's own SDK: its metric reader, and
// spans that are recorded. It is a module of its own, so that the SDK doesn't reach a
// user's go.mod, who may have another version of it, or none.
//
// What is compared is what comes out of the SDK: names, units, attributes and values of
// the metrics of two nodes in one process, and the attributes of one span around a
// request that a middleware decides. Keys are watched for in all of it.
//
// No exporter and no network is needed: the reader is collected by hand, and spans go to
// the SDK's recorder for tests. So nothing here waits for anything, and each test is over
// in a moment. Package otel itself needs no more of the SDK than that it calls back
// when it exports.
package otel

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/otel"
	"github.com/shoal-dev/shoal/httpmw"
)

const secretKey = "alice@example.org"

func node(t *testing.T, name string) *cluster.Node {
	n, err := cluster.Start(t.Context(), cluster.Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}

// collect returns every point as name{attributes} unit value.
func collect(t *testing.T, reader *metric.ManualReader) string {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[float64]
			switch data := m.Data.(type) {
			case metricdata.Sum[float64]:
				points = data.DataPoints
				if !data.IsMonotonic {
					t.Errorf("%s is no counter", m.Name)
				}
			case metricdata.Gauge[float64]:
				points = data.DataPoints
			default:
				t.Errorf("%s is %T", m.Name, data)
			}
			for _, p := range points {
				fmt.Fprintf(&text, "%s{%s} %s %v\n", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), m.Unit, p.Value)
			}
		}
	}
	return text.String()
}

func TestMetricsOfTwoNodes(t *testing.T) {
	a, b := node(t, "a"), node(t, "b")
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	for _, n := range []*cluster.Node{a, b} {
		registration, err := otel.Register(provider, n)
		if err != nil {
			t.Fatal(err)
		}
		defer registration.Unregister()
	}
	rule := bucket.MustRule("login", "2/hour")
	for range 3 {
		if _, err := a.Take(t.Context(), rule, secretKey, 1); err != nil {
			t.Fatal(err)
		}
	}
	got := collect(t, reader)
	for _, want := range []string{
		"shoal.decisions{outcome=allowed,path=local,rule=login,shoal.replica=a} {decision} 2",
		"shoal.decisions{outcome=refused,path=local,rule=login,shoal.replica=a} {decision} 1",
		"shoal.partitions{shoal.replica=b,state=held} {partition} 4096",
		"shoal.ready{shoal.replica=a}  1",
		"shoal.forwarding.bucket{le=0.05,shoal.replica=b} {observation} 0",
		"shoal.forwarding.bucket{le=+Inf,shoal.replica=b} {observation} 0",
		"shoal.forwarding.sum{shoal.replica=b} s 0",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, secretKey) {
		t.Error("a key is in the metrics")
	}
}

// The middleware's decision is on the request's own span, and no other span is made.
func TestTheCallersSpanHasTheDecision(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("test")
	limiter := otel.Trace(node(t, "a"))
	rule := bucket.MustRule("api", "1/hour")
	limit, err := httpmw.New(limiter, rule, httpmw.Header("X-User"))
	if err != nil {
		t.Fatal(err)
	}
	handler := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 2 {
		ctx, span := tracer.Start(t.Context(), "GET /")
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		request.Header.Set("X-User", secretKey)
		handler.ServeHTTP(httptest.NewRecorder(), request)
		span.End()
	}
	spans := recorder.Ended()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	for i, want := range []string{
		"shoal.rule=api shoal.outcome=allowed shoal.degraded=false shoal.remaining=0",
		"shoal.rule=api shoal.outcome=refused shoal.degraded=false shoal.remaining=0 shoal.retry_after",
	} {
		got := ""
		for _, a := range spans[i].Attributes() {
			got += fmt.Sprintf("%s=%s ", a.Key, a.Value.String())
		}
		if !strings.HasPrefix(got, want) || strings.Contains(got, secretKey) {
			t.Errorf("span %d has %s, want %s", i, got, want)
		}
	}
}

// Several decisions at once leave the refusal on the span, slots are marked too, and
// without a span that is recorded nothing is.
func TestTraceOfTheOtherCalls(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("test")
	limiter := otel.Trace(node(t, "a"))
	none, some := bucket.MustRule("none", "0/hour"), bucket.MustRule("some", "9/hour", bucket.WithMode(bucket.Shadow))
	slots := bucket.MustRule("slots", "1 concurrent")

	ctx, span := tracer.Start(t.Context(), "all")
	if ds, err := limiter.TakeAll(ctx, []bucket.Charge{{Rule: none, Key: "a", Tokens: 1}, {Rule: some, Key: "a", Tokens: 1}}); err != nil || ds[0].Allowed {
		t.Errorf("%+v, %v", ds, err)
	}
	span.End()
	ctx, span = tracer.Start(t.Context(), "shadow")
	if d, err := limiter.Take(ctx, some, "a", 10); err != nil || !d.WouldRefuse {
		t.Errorf("%+v, %v", d, err)
	}
	span.End()
	ctx, span = tracer.Start(t.Context(), "slot")
	release, d, err := limiter.Acquire(ctx, slots, "a")
	if err != nil || !d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
	release()
	span.End()
	if d, err := limiter.Take(t.Context(), none, "a", 1); err != nil || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
	var got []string
	for _, s := range recorder.Ended() {
		words := map[attribute.Key]string{}
		for _, a := range s.Attributes() {
			words[a.Key] = a.Value.String()
		}
		got = append(got, s.Name()+" "+words["shoal.rule"]+" "+words["shoal.outcome"])
	}
	if want := "[all none refused shadow some would_refuse slot slots allowed]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
