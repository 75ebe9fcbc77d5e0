package rules

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/shoal-dev/shoal/bucket"
)

// limits reads rate strings, the parts of a limit, or a list of either.
func (p *parser) limits(n *yaml.Node, at place) []bucket.Limit {
	if n.Kind != yaml.SequenceNode {
		return p.limit(n, at)
	}
	if !p.plain(n, at) {
		return nil
	}
	if len(n.Content) == 0 {
		p.fault(n, at, "an empty list; give at least one limit, as 5/second")
	}
	var limits []bucket.Limit
	for i, item := range n.Content {
		limits = append(limits, p.limit(item, at.item(i))...)
	}
	return limits
}

// limit reads one item of a list, or what stands in place of a list.
func (p *parser) limit(n *yaml.Node, at place) []bucket.Limit {
	if n.Kind == yaml.MappingNode {
		return p.limitFields(n, at)
	}
	text, ok := p.text(n, at)
	if !ok {
		return nil
	}
	rule, err := bucket.ParseRule(probe, text)
	if err != nil {
		p.refuse(n, at, err)
		return nil
	}
	if len(rule.Penalties()) > 0 || rule.FailurePolicy() != bucket.LocalShare || rule.Mode() != bucket.Enforce {
		p.fault(n, at, "only limits belong here; penalty, policy and mode are fields of the rule")
		return nil
	}
	return rule.Limits()
}

// limitFields reads the parts of a limit, by making the rate string of them. So
// they can say all that it can.
func (p *parser) limitFields(n *yaml.Node, at place) []bucket.Limit {
	if !p.plain(n, at) {
		return nil
	}
	before, name := p.count, ""
	parts := map[string]*part{"count": {}, "per": {before: " per "}, "algorithm": {before: " "}, "burst": {before: " burst "}}
	for f := range p.fields(n, at) {
		switch part := parts[f.name]; {
		case part != nil:
			part.node, part.text = f.value, p.word(f, at.part(f.name))
		case f.name == "name":
			name = p.name(f.value, at.part(f.name))
		default:
			p.fault(f.key, at, "unknown field %q; a limit has name, count, per, burst and algorithm", shorten(f.name))
		}
	}
	if parts["count"].node == nil {
		p.fault(n, at, "no field count; give the number of tokens, as count: 100")
	}
	if parts["per"].node == nil && parts["algorithm"].node == nil {
		p.fault(n, at, "no field per; give the time for count tokens, as per: minute or per: 100ms")
	}
	if p.count > before {
		return nil
	}
	limits := p.assemble(n, at, parts["count"], parts["per"], parts["algorithm"], parts["burst"])
	for i := range limits {
		limits[i].Name = name
	}
	return limits
}

// name reads the name of a limit.
func (p *parser) name(n *yaml.Node, at place) string {
	name, ok := p.text(n, at)
	if _, err := bucket.ParseRule(probe, strconv.Quote(name)+" = 1/second"); ok && err != nil {
		p.refuse(n, at, err)
	}
	return name
}

// part is one part of a rate string, where it is given.
type part struct {
	node   *yaml.Node
	before string // what leads to it
	text   string
	end    int // in the rate string
}

// word reads a part of a rate string that must not reach beyond itself.
func (p *parser) word(f field, at place) string {
	text, ok := p.text(f.value, at)
	if !ok {
		return ""
	}
	if f.name == "count" || f.name == "burst" {
		if _, err := strconv.ParseUint(text, 10, 63); err != nil {
			p.fault(f.value, at, "%q is no whole number up to 9223372036854775807; write only digits, as 100", shorten(text))
		}
	} else if strings.ContainsAny(text, `,;|:="`) {
		p.fault(f.value, at, "%q holds more than one thing; leave out %s", shorten(text), `, ; | : = and "`)
	}
	return text
}

// assemble reads the rate string that the parts make. A fault is put to the part
// where it is, if that can be told.
func (p *parser) assemble(n *yaml.Node, at place, parts ...*part) []bucket.Limit {
	text := ""
	for _, part := range parts {
		if part.node != nil {
			text += part.before + part.text
		}
		part.end = len(text)
	}
	rule, err := bucket.ParseRule(probe, text)
	if err == nil {
		return rule.Limits()
	}
	if e, ok := errors.AsType[*bucket.ParseError](err); ok && e.Text == text {
		for _, part := range parts {
			if part.node != nil && e.Offset <= part.end {
				n = part.node
				break
			}
		}
	}
	p.refuse(n, at, err)
	return nil
}
