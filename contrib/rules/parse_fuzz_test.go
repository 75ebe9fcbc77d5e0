package rules_test

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/contrib/rules"
)

// FuzzParse: whatever a file holds, it is either a set of rules whose own texts make
// the same set again, or an error of bounded length whose faults are in the file.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "rules:\n  a: 5/second; penalty 20/hour fixed; policy allow; mode off\n",
		"rules:\n  a:\n    limits: [5/second, {name: x, count: 5, per: 100ms, burst: 10, algorithm: leaky}]\n    penalty: {count: 1, per: day}\n    policy: deny\n    mode: shadow\n",
		`{"rules": {"a\nb": "5/second", "é": {"limits": "\"a;b\" = 1/day"}}}`,
		"rules: &r\n  a: *r\n<<: !x {? [a] : b}\n", "--- |\n a\n...\n---\n%", "rules:\n  a: \x00\xff", "rules:\n\ta", "? - ? - [{",
		"rules:\r\n  a: >-\r\n    1/day\r\n  b: {limits: {count: 1, per: 9 minutes, burst: 0}}\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := rules.Parse("f", text)
		if err != nil {
			checkFaults(t, text, err)
			return
		}
		if len(set.Names()) == 0 {
			t.Fatal("no error and no rules")
		}
		again := "rules:\n"
		for rule := range set.All() {
			text := rule.String()
			for _, prefix := range []string{strconv.Quote(rule.Name()), rule.Name(), ":"} {
				text = strings.TrimPrefix(text, prefix)
			}
			again += "  " + doubleQuoted(rule.Name()) + ": " + doubleQuoted(text) + "\n"
		}
		if set2, err := rules.Parse("f", []byte(again)); err != nil || lines(set2) != lines(set) {
			t.Errorf("%s\nread again: %v", again, err)
		}
	})
}

// doubleQuoted is a YAML text in double quotes; strconv.Quote's escapes aren't all
// YAML's.
func doubleQuoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\u0085", `\N`, "\u2028", `\L`, "\u2029", `\P`, "\ufeff", `\uFEFF`).Replace(s) + `"`
}

func checkFaults(t *testing.T, text []byte, err error) {
	if n := len(err.Error()); n > 100*1000 {
		t.Errorf("%d bytes of error", n)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T isn't joined: %v", err, err)
	}
	for i, err := range joined.Unwrap() {
		fault, ok := errors.AsType[*rules.Fault](err)
		if !ok && i < 100 {
			t.Fatalf("%T is no fault: %v", err, err)
		}
		if ok && (fault.Problem == "" || strings.Contains(fault.Error(), "\n") || fault.Line < 1 || fault.Line > bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+2) {
			t.Errorf("%+v", fault)
		}
	}
}
