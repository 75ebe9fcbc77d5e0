// Package prometheus has a real Prometheus server scrape three replicas, and asks it
// every query of the dashboard and of the alerting rules in contrib/prom.
//
// The replicas are processes of their own, which this test's binary becomes when it is
// told so by its environment: each has a node, some load, and /metrics. A fourth one is
// killed, so that there is something to see of breakers, standbys and failure policies.
//
// The server is the program of Debian's package prometheus, started with a
// configuration and a directory of its own, on a free port; the service of the system
// isn't touched. promtool, of the same package, runs the tests of the alerts in
// testdata.
//
// A test whose program isn't installed is skipped. With SHOAL_PROMETHEUS=required it
// fails instead: that is what .ci/prometheus asks for, after it has installed them.
package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// limit is how long things may take that take a moment.
const limit = 90 * time.Second

// program finds one that is installed.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SHOAL_PROMETHEUS") == "required" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

// TestQueriesReturnData: the queries of the dashboard, with what Grafana puts in place of
// its variables.
func TestQueriesReturnData(t *testing.T) {
	server := startServer(t, startReplicas(t))
	for _, q := range dashboardQueries(t) {
		query := strings.NewReplacer("$__rate_interval", "15s", "$job", "shoal").Replace(q.expr)
		t.Run(q.title, func(t *testing.T) {
			server.eventually(t, query, func(found []sample) bool { return len(found) > 0 })
		})
	}
	t.Run("three replicas scraped", func(t *testing.T) {
		server.eventually(t, `count(up{job="shoal"} == 1)`, func(found []sample) bool {
			return len(found) == 1 && found[0].value() == "3"
		})
	})
	t.Run("one table", func(t *testing.T) {
		server.eventually(t, `count(count by (hash) (count_values by (job) ("hash", shoal_table_hash)))`, func(found []sample) bool {
			return len(found) == 1 && found[0].value() == "1"
		})
	})
	t.Run("alerting rules", func(t *testing.T) { server.rulesAreWell(t) })
}

// TestAlertsFire: promtool's own tests of when they do, and don't.
func TestAlertsFire(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program(t, "promtool"), "test", "rules", "testdata/alerts_test.yaml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Each alert has a story in which it fires, and no other does.
func TestEachAlertHasAStory(t *testing.T) {
	alerts, err := os.ReadFile("../../contrib/prom/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stories, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(alerts, -1)
	if len(found) < 10 {
		t.Errorf("only %d alerts", len(found))
	}
	for _, alert := range found {
		if !bytes.Contains(stories, fmt.Appendf(nil, `alertname="%s"`, alert[1])) {
			t.Errorf("%s fires in no story", alert[1])
		}
	}
}

// query is what a panel of the dashboard shows.
type query struct{ title, expr string }

func dashboardQueries(t *testing.T) []query {
	t.Helper()
	text, err := os.ReadFile("../../contrib/prom/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []query
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all = append(all, query{p.Title + " " + target.RefID, target.Expr})
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
	}
	if len(all) < 20 {
		t.Fatalf("the dashboard has only %d queries", len(all))
	}
	return all
}

// server is a running Prometheus.
type server struct{ url string }

const configuration = `
global: {scrape_interval: 500ms, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: shoal
    static_configs: [{targets: [%s]}]
`

func startServer(t *testing.T, targets []string) *server {
	t.Helper()
	prometheus := program(t, "prometheus")
	rules, err := filepath.Abs("../../contrib/prom/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "prometheus.yml")
	quoted := `"` + strings.Join(targets, `", "`) + `"`
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, rules, quoted), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(prometheus, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn"))
	s := &server{"http://" + address}
	await(t, "Prometheus", func() bool {
		response, err := http.Get(s.url + "/-/ready")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
	return s
}

// start runs a program until the test ends, and shows what it said if that failed.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Args[0], said.Bytes())
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// sample is one value that a query has found.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

func (s sample) value() string { return fmt.Sprint(s.Value[1]) }

// eventually asks until it is answered as it should be.
func (s *server) eventually(t *testing.T, query string, right func([]sample) bool) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("%s\nwas last answered %s", query, last)
		}
	}()
	await(t, query, func() bool {
		var answer struct {
			Status, Error string
			Data          struct{ Result []sample }
		}
		last = s.get(t, "/api/v1/query?query="+url.QueryEscape(query), &answer)
		if answer.Status != "success" {
			t.Fatalf("%s: %s", query, last)
		}
		return right(answer.Data.Result)
	})
}

// rulesAreWell wants every alerting rule evaluated without an error.
func (s *server) rulesAreWell(t *testing.T) {
	t.Helper()
	type rule struct{ Name, Health, LastError string }
	var answer struct {
		Data struct{ Groups []struct{ Rules []rule } }
	}
	await(t, "the first evaluation of the rules", func() bool {
		s.get(t, "/api/v1/rules", &answer)
		return len(answer.Data.Groups) == 1 && !strings.Contains(fmt.Sprint(answer.Data.Groups), "unknown")
	})
	rules := answer.Data.Groups[0].Rules
	if len(rules) < 10 {
		t.Errorf("only %d rules", len(rules))
	}
	for _, r := range rules {
		if r.Health != "ok" {
			t.Errorf("%+v", r)
		}
	}
}

func (s *server) get(t *testing.T, path string, answer any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text.Bytes(), answer); err != nil {
		t.Fatalf("%v: %s", err, &text)
	}
	return text.String()
}
