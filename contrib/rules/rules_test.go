package rules_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// write makes a file in a folder of the test's own and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	rewrite(t, path, text)
	return path
}

func rewrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines is the rules of a set, in the form of bucket.Rule.MarshalText.
func lines(set *rules.Set) string {
	var b strings.Builder
	for rule := range set.All() {
		b.WriteString(rule.String() + "\n")
	}
	return b.String()
}

// TestExampleFile reads the file in the package comment.
func TestExampleFile(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "rules.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(f.Doc.Text(), "\n\n\trules:")
	text, _, _ = strings.Cut("\trules:"+text, "\nThe name of")
	set, err := rules.Parse("example", []byte(strings.ReplaceAll(text, "\t", "")))
	if err != nil {
		t.Fatal(err)
	}
	want := `api: 100 per 1 second burst 200
webhook: 5 per 100ms; penalty 20 per 1 hour fixed; policy allow
login: 5 per 1 second; daily = 100 per 1 day fixed; penalty 20 per 1 hour; policy deny; mode shadow
search: 10 per 1 second leaky burst 20; hourly = 1000 per 1 hour sliding; 5 per 100ms burst 10
`
	if got := lines(set); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if got, want := set.Names(), []string{"api", "webhook", "login", "search"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for range set.All() {
		break // may be left early
	}
}

// TestForms reads one rule in every form, and reads the result's own text as well.
func TestForms(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"rules: {a: 5/second}", "a: 5 per 1 second"},
		{`{"rules": {"a": {"limits": ["5/second", {"count": 100, "per": "hour"}], "mode": "off"}}}`, "a: 5 per 1 second; 100 per 1 hour; mode off"},
		{"rules:\n  a: >\n    5/second;\n    100/hour\n", "a: 5 per 1 second; 100 per 1 hour"},
		{"rules:\n  'a: b': 5/second", `"a: b": 5 per 1 second`},
		{"rules:\n  429: 5/second", "429: 5 per 1 second"},
		{"rules:\n  on: 5/second", "on: 5 per 1 second"},
		{"rules:\n  a: &unused 5/second", "a: 5 per 1 second"},
		{"rules:\n  a:\n    mode: OFF\n    limits: 5/second", "a: 5 per 1 second; mode off"},
		{"rules:\n  a:\n    policy: Local Share\n    limits: 5/second", "a: 5 per 1 second"},
		{"rules:\n  a:\n    limits: [5/second, 'x = 6/minute; 7/hour']", "a: 5 per 1 second; x = 6 per 1 minute; 7 per 1 hour"},
		{"rules:\n  a:\n    limits: {count: 0, per: second}", "a: 0 per 1 second"},
		{"rules:\n  a:\n    limits: {count: 5, per: 3 hours, algorithm: fixed aligned, name: 'x;y'}", `a: "x;y" = 5 per 3 hour fixed aligned`},
		{"rules:\n  a:\n    limits: {burst: 9, algorithm: leaky, per: 1m30s, count: 5}", "a: 5 per 90 second leaky burst 9"},
		{"rules:\n  a:\n    limits: 5/second\n    penalty: [20/hour, {count: 9, per: day, name: p}]", "a: 5 per 1 second; penalty 20 per 1 hour; penalty p = 9 per 1 day"},
		{"\ufeffrules:\n  a: 5/second\n...\n", "a: 5 per 1 second"},
	} {
		set, err := rules.Parse("f", []byte(tt.text))
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := strings.TrimSuffix(lines(set), "\n"); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
		rule := slices.Collect(set.All())[0]
		name, text := rule.Name(), rule.String()
		for _, prefix := range []string{name, strconv.Quote(name), ": "} {
			text = strings.TrimPrefix(text, prefix)
		}
		again, err := rules.Parse("f", []byte("rules:\n  \""+name+"\": '"+text+"'\n"))
		if err != nil || lines(again) != lines(set) {
			t.Errorf("%q: read again: %v, %v", tt.text, again, err)
		}
	}
}

func TestRuleIsLookedUp(t *testing.T) {
	set, err := rules.Load(write(t, "rules:\n  a: 5 per 100ms\n  b: 6 per 100ms"))
	if err != nil {
		t.Fatal(err)
	}
	rule, ok := set.Rule("b")
	if !ok || rule.Name() != "b" || !slices.Equal(rule.Limits(), []bucket.Limit{{Count: 6, Per: 100 * time.Millisecond}}) {
		t.Errorf("b: %v, %v", rule, ok)
	}
	if rule, ok := set.Rule("c"); ok || rule != nil {
		t.Errorf("c: %v, %v", rule, ok)
	}
}

func TestLookingUpAllocatesNothing(t *testing.T) {
	f := open(t, write(t, "rules: {a: 1/day, b: 1/day}"), rules.Options{})
	if n := testing.AllocsPerRun(100, func() { f.Rule("b") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFileRule(b *testing.B) {
	f, err := rules.Open("testdata/shop.yaml", rules.Options{Interval: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Rule("login")
		}
	})
}

func TestTenThousandRules(t *testing.T) {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  rule-%d: {limits: 5/second; %d/hour, policy: deny, mode: shadow}\n", i, i)
	}
	set, err := rules.Parse("f", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if last, _ := set.Rule("rule-9999"); len(set.Names()) != 10_000 || last.Limits()[1].Count != 9999 {
		t.Errorf("%d rules, the last is %v", len(set.Names()), last)
	}
}
