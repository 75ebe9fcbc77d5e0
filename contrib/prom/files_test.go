package prom_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shoal-dev/shoal/contrib/prom"
)

// exported are the names of all metrics.
func exported(t *testing.T) map[string]bool {
	names := map[string]bool{}
	descs := make(chan *prometheus.Desc, 100)
	prom.New(standalone(t, "a")).Describe(descs)
	close(descs)
	for d := range descs {
		names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	return names
}

// The dashboard and the alerts ask for metrics that there are, and the dashboard for
// every one.
func TestDashboardAndAlertsFitTheMetrics(t *testing.T) {
	names := exported(t)
	for _, file := range []string{"dashboard.json", "alerts.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, name := range regexp.MustCompile(`\bshoal_\w+`).FindAllString(string(text), -1) {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base := strings.TrimSuffix(name, suffix); names[base] {
					name = base
				}
			}
			shown[name] = true
			if !names[name] {
				t.Errorf("%s asks for %s, which isn't exported", file, name)
			}
		}
		for name := range names {
			if file == "dashboard.json" && !shown[name] {
				t.Errorf("%s doesn't show %s", file, name)
			}
		}
	}
}
