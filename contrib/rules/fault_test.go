package rules_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// TestFaults has the whole text of each error, or up to … where package bucket may
// come to say more.
func TestFaults(t *testing.T) {
	rule := func(text string) string { return "rules:\n  a:\n    " + text }
	for _, tt := range []struct{ text, want string }{
		// The file.
		{"", "f:1:1: the file is empty; write rules: and, below it, the rules"},
		{"# only\n", "f:1:1: the file is empty; write rules: and, below it, the rules"},
		{"~", "f:1:1: a file begins with rules: and has the rules below it, not a blank"},
		{"- a", "f:1:1: a file begins with rules: and has the rules below it, not a list"},
		{"rules", "f:1:1: a file begins with rules: and has the rules below it, not a text"},
		{"{}", "f:1:1: no field rules; write rules: and, below it, the rules"},
		{"limits: 5", "f:1:1: unknown field \"limits\"; a file has only rules\nf:1:1: no field rules; write rules: and, below it, the rules"},
		{"rules:", "f:1:7: rules: no rules; write each as its name and its limits, as login: 5/second"},
		{"rules: {}", "f:1:8: rules: no rules; write each as its name and its limits, as login: 5/second"},
		{"rules: [a]", "f:1:8: rules: no rules; write each as its name and its limits, as login: 5/second"},
		{"rules:\n  a: 1/day\nrules:\n  b: 1/day", `f:3:1: "rules" is here for the second time, after line 1; keep one`},
		{"rules:\n  a: 1/day\n---\nrules:\n  b: 1/day", "f:3:1: another document begins; put all rules below one rules:"},
		{"rules:\n  a: 1/day\n---\n[", "f:5:1: not YAML: while parsing a flow node: did not find expected node content"},
		{"rules:\n  a: \"1/day\n  b: 1/day\n", "f:2:6: not YAML: while scanning a quoted scalar: found unexpected end of stream"},
		{"rules:\n\ta: 1/day", "f:2:1: not YAML: while scanning for the next token: found character that cannot start any token"},
		{"rules:\n  a: b: c", "f:2:7: not YAML: mapping values are not allowed in this context"},
		{"rules:\n  é: '\xff'", "f:2:7: a byte that is no text; write the file in UTF-8"},
		{"rules: \x00", "f:1:8: a byte that is no text; write the file in UTF-8"},
		{"\xff\xfer\x00", "f:1:1: a byte that is no text; write the file in UTF-8"},
		{"rules:\n  a: *b", "f:2:6: not YAML: unknown anchor 'b' referenced"},
		{"!x {rules: {a: 1/day}}", `f:1:1: a tag, "!x"; leave it out`},
		{"rules: !x {a: 1/day}", `f:1:8: rules: a tag, "!x"; leave it out`},

		// A rule.
		{"rules:\n  a: 1/day\n  b: 1/day\n  a: 2/day", `f:4:3: rules: "a" is here for the second time, after line 2; keep one`},
		{"rules:\n  a:\n  b: 1/day", `f:2:5: rule "a": nothing is written here; give a text, or leave the field out`},
		{"rules:\n  '': 1/day", "f:2:3: rules: nothing is written here; give a text, or leave the field out"},
		{"rules:\n  ? [a]\n  : 1/day", "f:2:5: rules: a text belongs here, not a list"},
		{"rules:\n  a: [1/day]", `f:2:6: rule "a": a text belongs here, not a list`},
		{"rules:\n  a: 5", `f:2:6: rule "a": part 1: rate string "5": at offset 1: expected /, per or concurrent after the count, not the end`},
		{"rules:\n  a: 5/sec; 6/hour; x", `f:2:6: rule "a": part 1: rate string "5/sec": at offset 2: expected second, minute, hour, day, month or year, not "sec"` +
			"\n" + `f:2:6: rule "a": part 3: rate string "x": at offset 0: expected a count, as in 10/minute, not "x"`},
		{"rules:\n  a: policy deny", `f:2:6: rule "a": 0 limits; a rule has 1 to 8`},
		{"rules:\n  a: 1/day fixed burst 2; 2/day token aligned", `f:2:6: rule "a": limit 1: field Burst is 2; a fixed window holds Count, so leave it 0; limit 2: field Aligned is set; …`},
		{"rules:\n  " + strings.Repeat("a", 257) + ": 1/days!", `f:2:3: rule "` + strings.Repeat("a", 50) + `…": the name has 257 bytes; at most 256`},
		{rule("limit: 1/day"), "f:3:5: rule \"a\": unknown field \"limit\"; a rule has limits, penalty, policy and mode\nf:2:3: rule \"a\": no field limits; give at least one, as limits: 5/second"},
		{rule("{}"), `f:2:3: rule "a": no field limits; give at least one, as limits: 5/second`},
		{rule("limits: 1/day\n    limits: 2/day"), `f:4:5: rule "a": "limits" is here for the second time, after line 3; keep one`},
		{rule("limits: 1/day\n    policy: maybe"), `f:4:13: rule "a": policy: "maybe" is none; choose local share, allow or deny`},
		{rule("limits: 1/day\n    policy: [deny]"), `f:4:13: rule "a": policy: a text belongs here, not a list`},
		{rule("limits: 1/day\n    mode: on"), `f:4:11: rule "a": mode: unknown mode "on"; choose enforce, shadow or off`},
		{rule("limits: 1/day\n    mode: {}"), `f:4:11: rule "a": mode: a text belongs here, not a mapping`},
		{"x: &x {limits: 1/day}\nrules:\n  a: *x", "f:1:1: unknown field \"x\"; a file has only rules\nf:3:6: rule \"a\": an alias; write out what \"*x\" stands for"},
		{rule("<<: &x {mode: off}\n    limits: 1/day"), `f:3:5: rule "a": unknown field "<<"; a rule has limits, penalty, policy and mode`},

		// Limits.
		{rule("limits: []"), `f:3:13: rule "a": limits: an empty list; give at least one limit, as 5/second`},
		{rule("limits:\n      - 1/day\n      - 5/sec"), `f:5:9: rule "a": limits[2]: part 1: rate string "5/sec": at offset 2: expected second, minute, hour, day, month or year, not "sec"`},
		{rule("limits: [[1/day]]"), `f:3:14: rule "a": limits[1]: a text belongs here, not a list`},
		{rule("limits: [&x 1/day, *x]"), `f:3:24: rule "a": limits[2]: an alias; write out what "*x" stands for`},
		{rule("limits: !x [1/day]"), `f:3:13: rule "a": limits: a tag, "!x"; leave it out`},
		{rule("limits: !!map {count: 1, per: day}"), `f:3:13: rule "a": limits: a tag, "!!map"; leave it out`},
		{rule("limits: 1/day; policy deny"), `f:3:13: rule "a": limits: only limits belong here; penalty, policy and mode are fields of the rule`},
		{rule("limits: 1/day\n    penalty: 1/day; mode off"), `f:4:14: rule "a": penalty: only limits belong here; penalty, policy and mode are fields of the rule`},
		{rule("limits: 1/day\n    penalty: 0/day"), `f:3:5: rule "a": limit 2: field Count is 0; a penalty of 0 would refuse everything, so give it at least 1`},
		{rule("limits: x = 1/day; x = 2/day"), `f:3:13: rule "a": limits: limits 1 and 2 are both named "x"`},
		{rule("limits: [x = 1/day, x = 2/day]"), `f:3:5: rule "a": limits 1 and 2 are both named "x"`},

		// Their parts.
		{rule("limits: {}"), "f:3:13: rule \"a\": limits: no field count; give the number of tokens, as count: 100\nf:3:13: rule \"a\": limits: no field per; give the time for count tokens, as per: minute or per: 100ms"},
		{rule("limits: {count: 5}"), `f:3:13: rule "a": limits: no field per; give the time for count tokens, as per: minute or per: 100ms`},
		{rule("limits: {count: 5, unit: day}"), "f:3:24: rule \"a\": limits: unknown field \"unit\"; a limit has name, count, per, burst and algorithm\nf:3:13: rule \"a\": limits: no field per; give the time for count tokens, as per: minute or per: 100ms"},
		{rule("limits: {count: 1e3, per: day, burst: -1}"), "f:3:21: rule \"a\": limits.count: \"1e3\" is no whole number up to 9223372036854775807; write only digits, as 100\nf:3:43: rule \"a\": limits.burst: \"-1\" is no whole number up to 9223372036854775807; write only digits, as 100"},
		{rule("limits: {count: 9223372036854775808, per: [day]}"), "f:3:21: rule \"a\": limits.count: \"9223372036854775808\" is no whole number up to 9223372036854775807; write only digits, as 100\nf:3:47: rule \"a\": limits.per: a text belongs here, not a list"},
		{rule("limits: {count: 5, per: day; mode off}"), `f:3:29: rule "a": limits.per: "day; mode off" holds more than one thing; leave out , ; | : = and "`},
		{rule("limits:\n    - {count: 5, per: dy, algorithm: fixed}"), `f:4:23: rule "a": limits[1]: part 1: rate string "5 per dy fixed": at offset 6: expected second, minute, hour, day, month or year, not "dy"`},
		{rule("limits: {algorithm: fxd, count: 5, per: day, burst: 5}"), `f:3:25: rule "a": limits: part 1: rate string "5 per day fxd burst 5": at offset 10: unexpected "fxd"; …`},
		{rule("limits: {burst: 0, count: 5, per: day}"), `f:3:21: rule "a": limits: part 1: rate string "5 per day burst 0": at offset 17: expected a number above 0 after burst, not the end`},
		{rule("limits: {count: 5, per: -1s}"), `f:3:13: rule "a": limits: limit 1: field Per is -1s; it must be above 0`},
		{rule("limits: {count: 5, algorithm: fixed}"), `f:3:35: rule "a": limits: part 1: rate string "5 fixed": at offset 2: expected /, per or concurrent after the count, not "fixed"`},
		{rule("limits: {count: 5, per: day, name: é}"), `f:3:40: rule "a": limits.name: limit 1: field Name "é" must be printable ASCII of at most 64 bytes, as it is sent in headers`},
		{rule("limits: {count: 5, per: day, name: ''}"), `f:3:40: rule "a": limits.name: nothing is written here; give a text, or leave the field out`},
		{rule("limits: {count: 5, per: day, count: 6}"), `f:3:34: rule "a": limits: "count" is here for the second time, after line 3; keep one`},

		// Several at once, in the order of the file.
		{"rules:\n  a: 1\n  b:\n    limits: x\n    mode: y\n  c: 1/day", `f:2:6: rule "a": part 1: rate string "1": at offset 1: expected /, per or concurrent after the count, not the end` +
			"\n" + `f:4:13: rule "b": limits: part 1: rate string "x": at offset 0: expected a count, as in 10/minute, not "x"` +
			"\n" + `f:5:11: rule "b": mode: unknown mode "y"; choose enforce, shadow or off`},
	} {
		set, err := rules.Parse("f", []byte(tt.text))
		if err == nil || set != nil {
			t.Errorf("%q: no error, want %s", tt.text, tt.want)
		} else if got, want := cut(err.Error(), tt.want); got != want {
			t.Errorf("%q\n got: %s\nwant: %s", tt.text, got, tt.want)
		}
	}
}

// cut cuts both texts where want has its ….
func cut(got, want string) (string, string) {
	part, more := strings.CutSuffix(want, "…")
	if more && len(got) > len(part) {
		return got[:len(part)], part
	}
	return got, want
}

func TestFaultsTellPrograms(t *testing.T) {
	_, err := rules.Parse("f", []byte("rules:\n  a:\n    limits: [1/day, 5/sec]"))
	fault, ok := errors.AsType[*rules.Fault](err)
	if !ok || fault.File != "f" || fault.Line != 3 || fault.Column != 21 || fault.Rule != "a" || fault.Field != "limits[2]" {
		t.Errorf("%+v", fault)
	}
	if cause, ok := errors.AsType[*bucket.ParseError](err); !ok || cause.Offset != 2 {
		t.Errorf("cause %+v", cause)
	}
	_, err = rules.Parse("f", []byte("rules: ["))
	if _, ok := errors.AsType[*yaml.LoadError](err); !ok {
		t.Errorf("no error of the library in %v", err)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  r%d: %s\n", i, strings.Repeat("x", 1000))
	}
	_, err := rules.Parse("f", []byte(b.String()))
	if err == nil || !strings.HasSuffix(err.Error(), "\nf: and 200 more") || len(err.Error()) > 100*300 {
		t.Errorf("%d bytes of error: %.200v", len(fmt.Sprint(err)), err)
	}
}

func TestUnfoldingIsRefused(t *testing.T) {
	bomb := "a: &a [x, x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c]\n", c, c, c-1, c-1, c-1)
	}
	for _, text := range []string{bomb + "rules: *z", "rules: &r\n  a: *r\n", strings.Repeat("[", 20000), strings.Repeat("rules: {", 5000)} {
		if _, err := rules.Parse("f", []byte(text)); err == nil {
			t.Errorf("%.40q is read", text)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	text := []byte("rules:\n  a: 5/second\n" + strings.Repeat("#\n", 1<<20))
	for size, want := range map[int]string{
		len(text):         "f: the file is over 1 MiB; split it, or leave out comments",
		rules.MaxSize + 1: "f: the file is over 1 MiB; split it, or leave out comments",
		rules.MaxSize:     "<nil>",
	} {
		if _, err := rules.Parse("f", text[:size]); fmt.Sprint(err) != want {
			t.Errorf("%d bytes: %v, want %s", size, err, want)
		}
	}
	path := write(t, string(text))
	if _, err := rules.Load(path); fmt.Sprint(err) != path+": the file is over 1 MiB; split it, or leave out comments" {
		t.Error(err)
	}
}

func TestLoadWantsAFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := rules.Load(dir); fmt.Sprint(err) != "rules: "+dir+" is no regular file; give the path of a file" {
		t.Error(err)
	}
	if _, err := rules.Load(filepath.Join(dir, "no")); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "rules: ") {
		t.Error(err)
	}
	locked := write(t, "rules: {a: 1/day}")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Load(locked); os.Geteuid() != 0 && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}
