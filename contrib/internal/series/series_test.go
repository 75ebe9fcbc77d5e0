package series_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/internal/series"
)

// Names are what OpenTelemetry and Prometheus ask for, and no two are alike.
func TestNames(t *testing.T) {
	names := map[string]bool{}
	for _, m := range series.Table() {
		name := m.Prometheus()
		if names[name] || !regexp.MustCompile(`^shoal(\.[a-z]+)+$`).MatchString(m.Name) || !regexp.MustCompile(`^shoal(_[a-z]+)+$`).MatchString(name) {
			t.Errorf("%s, %s", m.Name, name)
		}
		names[name] = true
		if strings.HasSuffix(name, "_total") != (m.Kind == series.Counter) || (m.Unit == "s") != strings.Contains(name, "_seconds") {
			t.Errorf("%s is a %v of %s", name, m.Kind, m.Unit)
		}
		if m.Help == "" || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: help %q", name, m.Help)
		}
	}
}

// Values have as many labels as their metric.
func TestValuesFitTheirLabels(t *testing.T) {
	m := cluster.Metrics{Decisions: []cluster.Decisions{{Rule: "a", Count: 1}}, Peers: []cluster.PeerMetrics{{Name: "b"}}}
	for _, metric := range series.Table() {
		if metric.Kind == series.Histogram {
			if metric.Histogram == nil || metric.Divisor == 0 {
				t.Errorf("%s has no distribution", metric.Name)
			}
			continue
		}
		values := 0
		metric.Values(&m, func(_ float64, labels ...string) {
			values++
			if len(labels) != len(metric.Labels) {
				t.Errorf("%s: labels %v, names %v", metric.Name, labels, metric.Labels)
			}
		})
		if values == 0 {
			t.Errorf("%s has no value", metric.Name)
		}
	}
}

// The table in the documentation is this one.
func TestDocumentationHasTheTable(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, m := range series.Table() {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | `%s` | %v | %s | %s |\n", m.Prometheus(), m.Name, m.Kind, labels, m.Help)
	}
	if !strings.Contains(string(doc), rows.String()) {
		t.Errorf("docs/observability.md should have these rows:\n%s", &rows)
	}
	for p := range cluster.Path(20) {
		if word := p.String(); word != "unknown" && !strings.Contains(string(doc), "| `"+word+"` |") {
			t.Errorf("the path %s isn't explained", word)
		}
	}
}
