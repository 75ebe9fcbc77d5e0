package envoyrls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/shoal-dev/shoal/contrib/rules"
)

// maxFaults bounds what one error tells.
const maxFaults = 100

// aliased is how many parts of a file aliases may add to those that are written.
const aliased = 20_000

// parser reads YAML with the place of everything. Aliases are followed, as people
// have them in such files.
type parser struct {
	file   string
	faults []error
	more   int // faults that are left out
	left   int // parts of this file that may still be read, each as often as aliases name it
}

// document returns the root of a file's only document, or nil and a fault.
func (p *parser) document(data []byte) *yaml.Node {
	if len(data) > MaxSize {
		p.add(&rules.Fault{Problem: "the file is over 1 MiB; split it"})
		return nil
	}
	if !utf8.Valid(data) {
		p.add(&rules.Fault{Problem: "a byte that is no text; write the file in UTF-8"})
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false)) // which fields tells better
	var doc, next yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	if errors.Is(err, io.EOF) {
		p.add(&rules.Fault{Line: 1, Column: 1, Problem: "the file is empty; write domain: and descriptors:"})
		return nil
	}
	if err == nil {
		switch err = loader.Load(&next); {
		case err == nil:
			p.fault(&next, "", "another document begins; give each domain a file")
			return nil
		case errors.Is(err, io.EOF):
			return doc.Content[0]
		}
	}
	f := &rules.Fault{Problem: "not YAML: " + err.Error()}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		f.Line, f.Column, f.Problem = e.Mark.Line, e.Mark.Column, "not YAML: "+e.Message
	}
	p.add(f)
	return nil
}

// fields returns the values of a mapping that may have these keys. It is nil, after a
// fault, if n is none.
func (p *parser) fields(n *yaml.Node, at string, names ...string) map[string]*yaml.Node {
	n = p.follow(n)
	if n == nil || n.Kind != yaml.MappingNode {
		p.fault(n, at, "a mapping belongs here, with %s", strings.Join(names, ", "))
		return nil
	}
	values, lines := map[string]*yaml.Node{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := p.follow(n.Content[i]), p.follow(n.Content[i+1])
		if key == nil || value == nil {
			return nil
		}
		switch first := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode || !slices.Contains(names, key.Value):
			p.fault(key, at, "unknown field %q; there are %s", shorten(key.Value), strings.Join(names, ", "))
		case first > 0:
			p.fault(key, at, "%q is here for the second time, after line %d; keep one", shorten(key.Value), first)
		default:
			values[key.Value], lines[key.Value] = value, key.Line
		}
	}
	return values
}

// items goes over a list; nothing written is an empty one.
func (p *parser) items(n *yaml.Node, at string) iter.Seq2[int, *yaml.Node] {
	return func(yield func(int, *yaml.Node) bool) {
		if blank(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			p.fault(n, at, "a list belongs here, each item after a dash")
			return
		}
		for i, item := range n.Content {
			if item = p.follow(item); item == nil || !yield(i, item) {
				return
			}
		}
	}
}

// follow returns what an alias stands for, and other nodes as they are; nil once
// there are too many.
func (p *parser) follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if p.left--; p.left < 0 {
		if p.left == -1 {
			p.fault(n, "", "aliases make too much of this file; write out what is meant")
		}
		return nil
	}
	return n
}

// text reads a scalar, whatever YAML takes it for; "" where nothing is written.
func (p *parser) text(n *yaml.Node, at string) string {
	switch {
	case blank(n):
		return ""
	case n.Kind != yaml.ScalarNode:
		p.fault(n, at, "a text belongs here, no list and no mapping")
		return ""
	}
	return n.Value
}

// flag reads a boolean, in the words that YAML 1.1 has for it.
func (p *parser) flag(n *yaml.Node, at string) bool {
	switch strings.ToLower(p.text(n, at)) {
	case "true", "yes", "on":
		return true
	case "", "false", "no", "off":
		return false
	}
	p.fault(n, at, "%q is neither true nor false", shorten(n.Value))
	return false
}

// value reads anything, as structpb takes it.
func (p *parser) value(n *yaml.Node, at string, depth int) any {
	if n = p.follow(n); n == nil || depth == 0 {
		p.fault(n, at, "too much, or too deep; write less")
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := p.follow(n.Content[i]); key != nil {
				m[key.Value] = p.value(n.Content[i+1], at, depth-1)
			}
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, p.value(item, at, depth-1))
		}
		return list
	}
	var v any
	if err := n.Decode(&v); err == nil {
		switch v.(type) {
		case nil, bool, int, int64, uint64, float64:
			return v
		}
	}
	return n.Value
}

func (p *parser) fault(n *yaml.Node, at, format string, args ...any) {
	f := &rules.Fault{Field: at, Problem: fmt.Sprintf(format, args...)}
	if n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	p.add(f)
}

func (p *parser) add(f *rules.Fault) {
	f.File = p.file
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, f)
	} else {
		p.more++
	}
}

func (p *parser) err() error {
	if p.more > 0 {
		return errors.Join(append(p.faults, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.faults...)
}

// blank reports whether a field is left out, or has nothing written for it.
func blank(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func or(n, other *yaml.Node) *yaml.Node {
	if n != nil {
		return n
	}
	return other
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
