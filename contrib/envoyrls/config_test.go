package envoyrls_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// names lists the rules of a configuration.
func names(c *envoyrls.Config) string {
	var b strings.Builder
	for rule := range c.All() {
		b.WriteString(rule.String() + "\n")
	}
	return b.String()
}

func TestFaultsHavePlaces(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "c:1:1: the file is empty; write domain: and descriptors:"},
		{"a: [", "c:2:1: not YAML: "},
		{"\xff", "c: a byte that is no text; write the file in UTF-8"},
		{strings.Repeat("#", envoyrls.MaxSize+1), "c: the file is over 1 MiB; split it"},
		{"domain: d\n---\ndomain: e\n", "c:2:1: another document begins; give each domain a file"},
		{"domain: d\n---\n[", "c:4:1: not YAML: "},
		{"x", "c:1:1: a mapping belongs here, with domain, descriptors"},
		{"descriptors: []", "c:1:1: domain: it is missing or empty; write domain: and a name, once for all descriptors of the file"},
		{"domain: [d]", "c:1:9: domain: a text belongs here, no list and no mapping"},
		{"domain: d\ndomains: e", `c:2:1: unknown field "domains"; there are domain, descriptors`},
		{"domain: d\ndomain: e", `c:2:1: "domain" is here for the second time, after line 1; keep one`},
		{"domain: d\n[a]: e", `c:2:1: unknown field ""; there are domain, descriptors`},
		{"domain: d\ndescriptors: {key: a}", "c:2:14: descriptors: a list belongs here, each item after a dash"},
		{"domain: d\ndescriptors:\n  - a", "c:3:5: descriptors[1]: a mapping belongs here, with key, value, "},
		{"domain: d\ndescriptors:\n  - value: a", "c:3:5: descriptors[1].key: it is missing or empty; every descriptor has a key"},
		{"domain: d\ndescriptors:\n  - {key: a, values: b}", `c:3:14: descriptors[1]: unknown field "values"; there are key, value, `},
		{"domain: d\ndescriptors:\n  - {key: a, value: b}\n  - {key: a, value: b}", `c:4:5: descriptors[2]: key "a" with value "b" is here for the second time, after c:3; keep one`},
		{"domain: d\ndescriptors:\n  - {key: a, value: b*}\n  - {key: a, value: b*}", `c:4:5: descriptors[2]: key "a" with value "b*" is here`},
		{"domain: d\ndescriptors:\n  - {key: a, descriptors: [{key: b}, {key: b}]}", `c:3:38: descriptors[1].descriptors[2]: key "b" with value "" is here`},
		{"domain: d\ndescriptors:\n  - {key: a, value: b, share_threshold: true}", "c:3:41: descriptors[1].share_threshold: only a value with * in it"},
		{"domain: d\ndescriptors:\n  - {key: a, shadow_mode: maybe}", `c:3:27: descriptors[1].shadow_mode: "maybe" is neither true nor false`},
		{"domain: d\ndescriptors:\n  - {key: a, value_to_metric: [], detailed_metric: 1, quota_mode: 2}", "c:3:31: descriptors[1].value_to_metric: a text belongs here"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: 5", "c:4:17: descriptors[1].rate_limit: a mapping belongs here, with name, replaces, unit, requests_per_unit, unlimited"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {requests_per_unit: 5}", `c:4:17: descriptors[1].rate_limit.unit: "" is none; choose second, minute, hour, day, week, month or year`},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: fortnight, requests_per_unit: 5}", `c:4:24: descriptors[1].rate_limit.unit: "fortnight" is none`},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: unknown, requests_per_unit: 5}", `"unknown" is none`},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: day}", "c:4:17: descriptors[1].rate_limit.requests_per_unit: give a whole number up to 4294967295"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: day, requests_per_unit: 4294967296}", "c:4:48: descriptors[1].rate_limit.requests_per_unit: give"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: day, requests_per_unit: -1}", "c:4:48: "},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: day, unlimited: true}", "c:4:24: descriptors[1].rate_limit.unit: what is unlimited has none"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unlimited: true, name: x, replaces: [{name: x}, {name: }, y]}", "c:4:55: descriptors[1].rate_limit.replaces[1].name: a limit can't replace itself"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unlimited: true, replaces: [{}]}", "c:4:46: descriptors[1].rate_limit.replaces[1].name: it is missing or empty"},
		{"domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unlimited: true, replaces: [b]}", "c:4:46: descriptors[1].rate_limit.replaces[1]: a mapping belongs here, with name"},
		{"domain: d\ndescriptors:\n  - {key: a, metadata: [b]}", "c:3:24: descriptors[1].metadata: a mapping belongs here"},
		{"domain: d\ndescriptors: &a\n  - {key: a, descriptors: *a}", "over 32 levels of descriptors"},
		{"domain: d\ndescriptors:\n  - {key: a, metadata: &m {b: *m}}", "descriptors[1].metadata: too much, or too deep; write less"},
	} {
		_, err := envoyrls.ParseConfig("c", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q:\n got %v\nwant %s", c.text, err, c.want)
			continue
		}
		if _, ok := errors.AsType[*rules.Fault](err); !ok {
			t.Errorf("%.80q: %T", c.text, err)
		}
	}
}

// TestEverythingThatIsWrongIsTold, up to a hundred of it.
func TestEverythingThatIsWrongIsTold(t *testing.T) {
	text := "domain: d\ndescriptors:\n" + strings.Repeat("  - value: a\n", 120)
	_, err := envoyrls.ParseConfig("c", []byte(text))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 101 || lines[100] != "and 20 more" || !strings.HasPrefix(lines[99], "c:102:5: ") {
		t.Errorf("%d lines: %v", len(lines), err)
	}
}

// TestAliasesAreFollowed, as far as a file that says a lot with few words.
func TestAliasesAreFollowed(t *testing.T) {
	c := config(t, `
domain: d
descriptors:
  - key: a
    rate_limit: &fair {unit: minute, requests_per_unit: 5}
    metadata: &m {x: [1, 2.5, true, null, text, 2001-01-01, {y: z}]}
  - {key: b, rate_limit: *fair, metadata: *m}
`)
	if got, want := names(c), "d/a: 5 per 1 minute fixed aligned\nd/b: 5 per 1 minute fixed aligned\n"; got != want {
		t.Errorf("got %s", got)
	}
	bomb := "domain: d\ndescriptors:\n  - key: a\n    descriptors: &a0 [{key: k}]\n"
	for i := range 20 {
		n, last := string(rune('b'+i)), string(rune('a'+i))
		if last == "a" {
			last = "a0"
		}
		bomb += "  - {key: " + n + ", descriptors: &" + n + " [{key: x, descriptors: *" + last + "}, {key: y, descriptors: *" + last + "}]}\n"
	}
	_, err := envoyrls.ParseConfig("c", []byte(bomb))
	if err == nil || !strings.Contains(err.Error(), "aliases make too much of this file") {
		t.Errorf("%v", err)
	}
}

func TestRulesHaveNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	c := config(t, `
domain: my/edge
descriptors:
  - key: a=b
    value: 50%/*
    shadow_mode: true
    detailed_metric: true
    rate_limit: {unit: second, requests_per_unit: 5}
    descriptors:
      - key: `+long+`
        value_to_metric: on
        rate_limit: {unit: week, requests_per_unit: 6}
      - {key: `+long+`y, rate_limit: {unit: year, requests_per_unit: 7}}
  - key: free
    rate_limit: {unlimited: true, unit: "", requests_per_unit: 3}
  - {key: none, value: , rate_limit: , descriptors: , metadata: }
`, bucket.WithFailurePolicy(bucket.Allow))
	lines := strings.Split(names(c), "\n")
	if want := `"my%2Fedge/a%3Db=50%25%2F*": 5 per 1 second fixed aligned; policy allow; mode shadow`; len(lines) != 4 || lines[0] != want {
		t.Fatalf("got %q\nwant %q", lines, want)
	}
	seen := map[string]bool{}
	for rule := range c.All() {
		if len(rule.Name()) > 256 || seen[rule.Name()] {
			t.Errorf("the name %q", rule.Name())
		}
		seen[rule.Name()] = true
	}
}

func TestBadOptionsAreFaults(t *testing.T) {
	_, err := envoyrls.ParseConfig("c", []byte(simple), bucket.WithFailurePolicy(9))
	if err == nil || !strings.Contains(err.Error(), "c:1:48: descriptors[1].rate_limit: bucket: rule \"d/a\": unknown failure policy 9") {
		t.Error(err)
	}
}

func TestLoadConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if _, err := envoyrls.LoadConfig(dir + "/*.yaml"); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Error(err)
	}
	if _, err := envoyrls.LoadConfig("["); !errors.Is(err, filepath.ErrBadPattern) {
		t.Error(err)
	}
	const limit = "rate_limit: {unit: day, requests_per_unit: 1}"
	write("b.yaml", "{domain: d, descriptors: [{key: b, "+limit+"}]}")
	write("a.yaml", "{domain: d, descriptors: [{key: a, "+limit+"}]}")
	write("c.yml", "not this one")
	c, err := envoyrls.LoadConfig(dir + "/*.yaml")
	ok(t, err)
	if got := names(c); got != "d/a: 1 per 1 day fixed aligned\nd/b: 1 per 1 day fixed aligned\n" {
		t.Error(got)
	}
	write("c.yaml", "{domain: d, descriptors: [{key: a}, {}]}")
	write("d.yaml", strings.Repeat("#", envoyrls.MaxSize+1))
	ok(t, os.Mkdir(filepath.Join(dir, "e.yaml"), 0o700))
	ok(t, os.Symlink("nowhere", filepath.Join(dir, "f.yaml")))
	_, err = envoyrls.LoadConfig(dir + "/*.yaml")
	for _, says := range []string{
		`c.yaml:1:27: descriptors[1]: key "a" with value "" is here for the second time, after ` + dir + "/a.yaml:1", "c.yaml:1:37: descriptors[2].key: ",
		"d.yaml is over 1 MiB; split it", "e.yaml is no regular file", "f.yaml: no such file",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v\ndoesn't say %s", err, says)
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzParseConfig: whatever a file holds, it is a configuration that finds something
// or nothing for any request, or an error of bounded length.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{
		"", simple, "domain: d\ndescriptors: &a [{key: a, value: '*', descriptors: *a}]", "domain: d\ndescriptors: [{key: a, value: x*y, share_threshold: on, metadata: {a: [1, .inf, 2020-01-01]}}]",
		"{domain: d, descriptors: [{key: a, value: b, quota_mode: true, rate_limit: {name: n, replaces: [{name: m}], unit: YEAR, requests_per_unit: 0}}]}",
		"domain: d\n---\n", "- a", "domain: !!binary x", "? [a]\n: b", "a: &a [*a]", "{domain: d, <<: {descriptors: []}}",
	} {
		f.Add([]byte(text), "a", "b")
	}
	f.Fuzz(func(t *testing.T, text []byte, key, value string) {
		c, err := envoyrls.ParseConfig("f", text)
		if err != nil {
			if n := len(err.Error()); n > 100*2000 {
				t.Errorf("%d bytes of error", n)
			}
			return
		}
		seen := map[string]bool{}
		for rule := range c.All() {
			if seen[rule.Name()] {
				t.Errorf("two rules %q", rule.Name())
			}
			seen[rule.Name()] = true
		}
		r := request("d", "")
		r.Descriptors[0].Entries = append(request("d", "x=y").Descriptors[0].Entries, r.Descriptors[0].Entries...)
		r.Descriptors[0].Entries[0].Key, r.Descriptors[0].Entries[0].Value = key, value
		if m, known := c.Find("d", r.Descriptors[0].Entries); m.Rule != nil && (!known || !seen[m.Rule.Name()] || m.Unlimited) {
			t.Errorf("%q %q: %+v, %v", key, value, m, known)
		}
	})
}
