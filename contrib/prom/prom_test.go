package prom_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/prom"
)

func standalone(t *testing.T, name string) *cluster.Node {
	n, err := cluster.Start(t.Context(), cluster.Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}

func scrape(t *testing.T, r *prometheus.Registry) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", w.Code, err, body)
	}
	return string(body)
}

// Two nodes share a registry that checks everything, and each shows its own.
func TestTwoNodesInOneRegistry(t *testing.T) {
	a, b := standalone(t, "a"), standalone(t, "b")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(a), prom.New(b))
	rule := bucket.MustRule("login", "2/hour")
	for range 3 {
		if _, err := a.Take(t.Context(), rule, "alice@example.org", 1); err != nil {
			t.Fatal(err)
		}
	}
	page := scrape(t, registry)
	for _, want := range []string{
		`shoal_decisions_total{outcome="allowed",path="local",replica="a",rule="login"} 2`,
		`shoal_decisions_total{outcome="refused",path="local",replica="a",rule="login"} 1`,
		`shoal_forwarding_seconds_bucket{replica="b",le="0.0001"} 0`,
		`shoal_partitions{replica="b",state="held"} 4096`,
		`shoal_ready{replica="a"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no line %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "alice") {
		t.Error("a key is in the metrics")
	}
}

// However many keys and rules there are, the number of series has a bound.
func TestCardinalityIsBounded(t *testing.T) {
	n := standalone(t, "a")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(n))
	lines := func() int { return strings.Count(scrape(t, registry), "\nshoal_decisions_total{") }
	rule := bucket.MustRule("login", "0/hour")
	for i := range 100_000 {
		if _, err := n.Take(t.Context(), rule, fmt.Sprint("key ", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(); got != 1 {
		t.Errorf("%d series of decisions after many keys", got)
	}
	for i := range 1000 {
		if _, err := n.Take(t.Context(), bucket.MustRule(fmt.Sprint("rule ", i), "1/hour"), "a", 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(); got != 129 || !strings.Contains(scrape(t, registry), `rule="(other)"} 873`) {
		t.Errorf("%d series of decisions after many rules", got)
	}
}

// fixed is a source with values that are known.
type fixed struct{ now cluster.Metrics }

func (f fixed) Name() string             { return "f" }
func (f fixed) Metrics() cluster.Metrics { return f.now }

func TestHistogramsAddUp(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.New(fixed{now: cluster.Metrics{
		Forwarding: cluster.Histogram{Bounds: []int64{1e6, 2e9}, Counts: []int64{3, 4, 5}, Sum: 7e9},
		Decisions:  []cluster.Decisions{{Rule: "\xff", Count: 1}, {Rule: "(other)", Count: 2}, {Count: 3}},
		Frames:     cluster.Histogram{Bounds: []int64{1, 2}, Counts: []int64{1, 0, 1}, Sum: 9},
	}}))
	page := scrape(t, registry)
	for _, want := range []string{
		`seconds_bucket{replica="f",le="0.001"} 3`, `seconds_bucket{replica="f",le="2"} 7`, `seconds_bucket{replica="f",le="+Inf"} 12`,
		`seconds_sum{replica="f"} 7`, `seconds_count{replica="f"} 12`, `hits_bucket{replica="f",le="2"} 1`, `hits_sum{replica="f"} 9`,
		`rule="\"\\xff\""} 1`, `rule="\"(other)\""} 2`, `rule="(other)"} 3`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no line ending in %s in\n%s", want, page)
		}
	}
}
