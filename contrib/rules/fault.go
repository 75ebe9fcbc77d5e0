package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFaults bounds what one error tells.
const maxFaults = 100

// Fault is one thing that is wrong with a file.
type Fault struct {
	File         string
	Line, Column int    // of what is wrong, from 1, the column in characters; 0 if unknown
	Rule         string // its name; "" outside of the rules
	Field        string // as "limits[2].per", from 1; "" for the rule itself
	Problem      string // what is wrong and what would be right
	cause        error
}

// Error returns everything in one line, as
//
//	rules.yaml:4:13: rule "login": policy: "maybe" is none; choose local share, allow or deny
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if f.Column > 0 {
		fmt.Fprintf(&b, ":%d", f.Column)
	}
	if f.Rule != "" {
		fmt.Fprintf(&b, ": rule %q", shorten(f.Rule))
	}
	if f.Field != "" {
		b.WriteString(": " + f.Field)
	}
	return b.String() + ": " + f.Problem
}

// Unwrap returns the error of package bucket or of the YAML library, if there is one.
func (f *Fault) Unwrap() error { return f.cause }

// place is what a part of a file belongs to.
type place struct{ rule, field string }

func (p place) part(name string) place {
	if p.field != "" {
		name = p.field + "." + name
	}
	return place{p.rule, name}
}

func (p place) item(i int) place { return place{p.rule, fmt.Sprintf("%s[%d]", p.field, i+1)} }

func (p *parser) fault(n *yaml.Node, at place, format string, args ...any) {
	p.add(&Fault{Line: n.Line, Column: n.Column, Rule: at.rule, Field: at.field, Problem: fmt.Sprintf(format, args...)})
}

// refuse adds the errors of package bucket about n.
func (p *parser) refuse(n *yaml.Node, at place, err error) {
	causes := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		causes = joined.Unwrap()
	}
	for _, cause := range causes {
		p.add(&Fault{Line: n.Line, Column: n.Column, Rule: at.rule, Field: at.field, Problem: problem(cause, at.rule), cause: cause})
	}
}

// problem is the text of an error of package bucket, without what a Fault says
// itself.
func problem(err error, rule string) string {
	text := err.Error()
	for _, prefix := range []string{"bucket: ", fmt.Sprintf("rule %q: ", rule), fmt.Sprintf("rule %q: ", probe)} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

func (p *parser) add(f *Fault) {
	f.File = p.file
	if p.count++; p.count <= maxFaults {
		p.faults = append(p.faults, f)
	}
}

func (p *parser) err() error {
	if more := p.count - maxFaults; more > 0 {
		p.faults = append(p.faults, fmt.Errorf("%s: and %d more", p.file, more))
	}
	return errors.Join(p.faults...)
}

// shorten cuts a text that a message is to hold.
func shorten(s string) string {
	n := 50
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
