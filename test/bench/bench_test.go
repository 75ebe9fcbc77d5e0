package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets the test binary be the owner process, as the program itself is.
func TestMain(m *testing.M) {
	if isOwner(os.Args[1:]) {
		if err := ownerMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestSmoke runs the whole program with every system for a moment, or longer
// where the machine is so busy that nothing was decided in one.
func TestSmoke(t *testing.T) {
	for _, e := range systems() {
		t.Run(e.name, func(t *testing.T) {
			if why := e.missing(); why != "" {
				if os.Getenv("CI") == "true" {
					t.Fatal(why)
				}
				t.Skip(why)
			}
			err := smoke(t, e.name, "50ms")
			for _, longer := range []string{"500ms", "3s"} {
				if err != nil {
					t.Logf("trying %s: %v", longer, err)
					err = smoke(t, e.name, longer)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func smoke(t *testing.T, system, time string) error {
	file := filepath.Join(t.TempDir(), "r.json")
	picture := filepath.Join(t.TempDir(), "r.svg")
	args := []string{"-svg", picture, "-systems", system, "-callers", "1,8", "-rounds", "1", "-time", time, "-warmup", "20ms", "-keys", "100", "-json", file}
	var out strings.Builder
	if err := bench(t.Context(), args, &out, io.Discard); err != nil {
		return err
	}
	if chart, err := os.ReadFile(picture); err != nil || xml.Unmarshal(chart, new(struct{})) != nil || strings.Count(string(chart), ">"+system+"<") != 4 {
		return fmt.Errorf("the chart, %v:\n%s", err, chart)
	}
	if n := strings.Count(out.String(), "\n"+system+" "); n != 2+2 { // figures, and how busy others were
		return fmt.Errorf("%d rows of %s in\n%s", n, system, out.String())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	for _, s := range r.Samples {
		if s.Decisions < 1 || s.PerSecond <= 0 || s.P50 <= 0 || s.P99 < s.P50 || s.AskerCPU+s.OwnerCPU <= 0 {
			return fmt.Errorf("implausible: %+v", s)
		}
	}
	return nil
}

// TestOpenLoop: hits come when they are due, and what an asker that stalls keeps
// waiting counts as late.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLoad(stalling{time.Now()}, 4, 10, 100)
		l.phase.Store(measuring)
		time.Sleep(10 * time.Second)
		sum := l.stop()
		if n := sum.total(); n < 990 || n > 1000 {
			t.Errorf("%d hits in 10 s, want 1000", n)
		}
		if p := sum.quantile(0.5); p > 2000 {
			t.Errorf("half of the hits took %v µs, want 1 ms", p)
		}
		if p := sum.quantile(0.95) / 1e6; p < 0.4 || p > 1.1 {
			t.Errorf("those that were due while it stalled for a second took %v s", p)
		}
	})
}

// stalling answers after a millisecond, but nobody in the second that begins 5 s
// after the start.
type stalling struct{ start time.Time }

func (s stalling) ask(int) error {
	at := time.Since(s.start)
	if at > 5*time.Second && at < 6*time.Second {
		time.Sleep(6*time.Second - at)
	}
	time.Sleep(time.Millisecond)
	return nil
}

func (stalling) check() error { return nil }
func (stalling) close()       {}

// TestDeadOwner: the death of the owner process ends a run at once, and the
// error names it.
func TestDeadOwner(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	o, err := startOwner(ctx, "unary", cancel)
	if err != nil {
		t.Fatal(err)
	}
	defer o.stop()
	a, err := unary{}.connect(ctx, o.address, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	time.AfterFunc(50*time.Millisecond, func() { _ = o.command.Process.Kill() })
	begun := time.Now()
	_, err = measure(ctx, plan{time: time.Minute, keys: 10}, a, o, 4, 1)
	if err == nil || !strings.Contains(err.Error(), "owner process of unary ended: signal: killed") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

func TestOwnerProtocol(t *testing.T) {
	const lines = "usage\nprofile\nhello\n"
	var out strings.Builder
	if err := own(unary{}, strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	var got []answer
	for d := json.NewDecoder(strings.NewReader(out.String())); d.More(); {
		var a answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		got = append(got, a)
	}
	if len(got) != 4 || got[0].Address == "" || got[1].Usage == nil || got[1].Usage.CPU <= 0 || got[2].Error != "" || got[3].Error != `unknown command "hello"` {
		t.Errorf("answers to %q:\n%s", lines, out.String())
	}
}

func TestUsageSince(t *testing.T) {
	before := usage{At: 10 * time.Second, CPU: time.Second, Allocs: 100}
	after := usage{At: 12 * time.Second, CPU: 4 * time.Second, Allocs: 700}
	if got := after.since(before); got != (rates{cpu: 1.5, allocs: 300}) {
		t.Errorf("got %+v", got)
	}
}

func TestParseStat(t *testing.T) {
	const stat = `cpu  10 0 10 100 5 0 0 0 0 0
cpu0 1 2 3 400 5 6 7 8 0 0
cpu2 100 0 0 1 0 0 0 0 50 0
intr 12 0 0
cpufreq of nobody
`
	busy, err := parseStat(strings.NewReader(stat))
	want := []time.Duration{270 * time.Millisecond, 0, time.Second}
	if err != nil || !slices.Equal(busy, want) {
		t.Errorf("got %v, %v, want %v", busy, err, want)
	}
	for _, faulty := range []string{"", "cpu 1 2 3 4 5 6 7 8\n", "cpux 1 2 3 4 5 6 7 8\n", "cpu0 1 2 3 4 5 6 7 x\n"} {
		if busy, err := parseStat(strings.NewReader(faulty)); err == nil {
			t.Errorf("%q gives %v", faulty, busy)
		}
	}
}

func TestMachineSince(t *testing.T) {
	before := machine{at: time.Second, busy: []time.Duration{0, time.Second}}
	after := machine{at: 3 * time.Second, busy: []time.Duration{time.Second, 3 * time.Second}}
	if all, here := after.since(before, 1); all != 1.5 || here != 1 {
		t.Errorf("got %v, %v", all, here)
	}
	if all, here := after.since(before, unknown); all != 1.5 || here != unknown {
		t.Errorf("unpinned: got %v, %v", all, here)
	}
	if all, here := (machine{}).since(machine{}, 0); all != unknown || here != unknown {
		t.Errorf("where the system doesn't tell: got %v, %v", all, here)
	}
}

func TestQuantiles(t *testing.T) {
	var l latencies
	for us := range 1000 {
		l.add(time.Duration(us) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 500, 0.99: 990} {
		if got := l.quantile(q); math.Abs(got-want) > 0.01*want {
			t.Errorf("quantile %v is %v µs, want about %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{-1, 0, 31, 32, 33, 63, 64, time.Second, time.Hour} {
		i := place(uint64(max(d, 0)))
		if ns := float64(max(d, 0)); ns < least(i) || ns >= least(i+1) && i != ranges-1 {
			t.Errorf("%v counts as between %v and %v ns", d, least(i), least(i+1))
		}
	}
}

func TestTable(t *testing.T) {
	got := table{{"system", "p50 µs"}, {"a", "1"}, {"longer name", "1 (2–3)"}}.String()
	const want = "" +
		"system        p50 µs\n" +
		"a                  1\n" +
		"longer name  1 (2–3)\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		values []float64
		want   string
	}{
		{nil, "–"},
		{[]float64{unknown, unknown}, "–"},
		{[]float64{0.0123}, "0.012"},
		{[]float64{3, 1, 2}, "2.00 (1.00–3.00)"},
		{[]float64{10, 20}, "15.0 (10.0–20.0)"},
		{[]float64{9999.6}, "10000"},
		{[]float64{10_000, 9_000, 12_345}, "10.0k (9.0–12.3)"},
		{[]float64{1_020_000, 980_000, 1_100_000}, "1.02M (0.98–1.10)"},
	}
	for _, tt := range tests {
		if got := spreadOf(tt.values, func(v float64) float64 { return v }).String(); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.values, got, tt.want)
		}
	}
}

func TestReport(t *testing.T) {
	p, err := parsePlan([]string{"-systems", "shoal,unary", "-callers", "64"})
	if err != nil {
		t.Fatal(err)
	}
	r := newReport(p)
	r.Samples = []sample{
		{System: "shoal", Callers: 64, PerSecond: 100, P50: 2, AskerCPU: 1, OwnerCPU: 1, OthersHere: 0.5},
		{System: "unary", Callers: 64, PerSecond: 10, P50: 8, AskerCPU: 5, OwnerCPU: 5, OthersHere: 0.25, Failed: 3, Failure: "why"},
	}
	const ratios = "" +
		"system  callers  decisions/s   p50   CPU\n" +
		"unary        64        0.100  4.00  5.00\n"
	if got := r.ratios().String(); got != ratios {
		t.Errorf("got\n%s\nwant\n%s", got, ratios)
	}
	r.plan.rounds = 1
	const others = "" +
		"system  callers          round 1\n" +
		"shoal        64  0.00, 0.50 here\n" +
		"unary        64  0.00, 0.25 here\n"
	if got := r.others().String(); got != others {
		t.Errorf("got\n%s\nwant\n%s", got, others)
	}
	if text, chart := r.text(), r.chart(); !strings.Contains(text, "\nFigures: one round of 1s\n\n") || !strings.Contains(chart, ">one round of 1s, 10000 keys") {
		t.Errorf("one round:\n%s\n%s", text, chart)
	}
	r.plan.rounds = 3
	if text, chart := r.text(), r.chart(); !strings.Contains(text, "\nFigures: medians of 3 rounds of 1s (min–max)\n\n") || !strings.Contains(chart, ">medians of 3 rounds of 1s, 10000 keys") {
		t.Errorf("three rounds:\n%s\n%s", text, chart)
	}
	for _, want := range []string{"others here", "3 decisions of unary with 64 callers", "Times those of shoal"} {
		if got := r.text(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestFlags(t *testing.T) {
	tests := []struct{ args, want string }{
		{"-callers 64,x", `-callers: "x" is not a number`},
		{"-callers 0", "from 1 to"},
		{"-callers 8,8", "8 is there twice"},
		{"-systems shoal,redis", `-systems: "redis" is none of shoal,`},
		{"-systems unary,unary", "unary is there twice"},
		{"-rounds 0", "-rounds: 0"},
		{"-time 1ms", "-time: 1ms"},
		{"-warmup -1s", "-warmup: -1s"},
		{"-keys 0", "-keys: 0"},
		{"-profile /nowhere/at/all", "not a folder"},
		{"shoal", `unexpected argument "shoal"`},
		{"-colour", "colour"},
	}
	for _, tt := range tests {
		_, err := parsePlan(strings.Fields(tt.args))
		var faulty *flagError
		if !errors.As(err, &faulty) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.args, err, tt.want)
		}
	}
	if _, err := parsePlan([]string{"-h"}); !errors.Is(err, flag.ErrHelp) || !strings.Contains(err.Error(), "shoal-transport") {
		t.Errorf("-h: %v", err)
	}
}
