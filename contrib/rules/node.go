package rules

import (
	"iter"

	"go.yaml.in/yaml/v4"
)

// plain refuses what would make a part of a file mean more than is written there.
func (p *parser) plain(n *yaml.Node, at place) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		p.fault(n, at, "an alias; write out what %q stands for", "*"+shorten(n.Value))
	case n.Style&yaml.TaggedStyle != 0:
		p.fault(n, at, "a tag, %q; leave it out", shorten(n.Tag))
	default:
		return true
	}
	return false
}

// text reads a scalar, whatever YAML takes it for.
func (p *parser) text(n *yaml.Node, at place) (text string, ok bool) {
	switch {
	case !p.plain(n, at):
		return "", false
	case n.Kind != yaml.ScalarNode:
		p.fault(n, at, "a text belongs here, not a %s", kindWords(n))
		return "", false
	case n.ShortTag() == "!!null" || n.Value == "":
		p.fault(n, at, "nothing is written here; give a text, or leave the field out")
		return "", false
	}
	return n.Value, true
}

func kindWords(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "mapping"
	case n.Kind == yaml.SequenceNode:
		return "list"
	case n.ShortTag() == "!!null":
		return "blank"
	}
	return "text"
}

// field is one entry of a mapping.
type field struct {
	name       string
	key, value *yaml.Node
}

// fields goes over a mapping whose keys are texts, each given once.
func (p *parser) fields(n *yaml.Node, at place) iter.Seq[field] {
	return func(yield func(field) bool) {
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			f := field{key: n.Content[i], value: n.Content[i+1]}
			var ok bool
			if f.name, ok = p.text(f.key, at); !ok {
				continue
			}
			if first := lines[f.name]; first > 0 {
				p.fault(f.key, at, "%q is here for the second time, after line %d; keep one", shorten(f.name), first)
				continue
			}
			lines[f.name] = f.key.Line
			if !yield(f) {
				return
			}
		}
	}
}
