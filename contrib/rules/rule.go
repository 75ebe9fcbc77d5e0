package rules

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/shoal-dev/shoal/bucket"
)

// probe is the name of rules that are made only to see whether a part of one is right.
const probe = "probe"

// rules reads the root of a document.
func (p *parser) rules(root *yaml.Node, set *Set) {
	if !p.plain(root, place{}) {
		return
	}
	if root.Kind != yaml.MappingNode {
		p.fault(root, place{}, "a file begins with rules: and has the rules below it, not a %s", kindWords(root))
		return
	}
	found := false
	for f := range p.fields(root, place{}) {
		if f.name != "rules" {
			p.fault(f.key, place{}, "unknown field %q; a file has only rules", shorten(f.name))
			continue
		}
		found = true
		p.ruleList(f.value, set)
	}
	if !found {
		p.fault(root, place{}, "no field rules; write rules: and, below it, the rules")
	}
}

func (p *parser) ruleList(n *yaml.Node, set *Set) {
	at := place{field: "rules"}
	if !p.plain(n, at) {
		return
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.fault(n, at, "no rules; write each as its name and its limits, as login: 5/second")
		return
	}
	for f := range p.fields(n, at) {
		rule := p.rule(f)
		if rule == nil {
			continue
		}
		mode := rule.Mode()
		rule.SetMode(bucket.Enforce) // so that the text is without it; neither fails
		text := rule.String()
		rule.SetMode(mode)
		set.names = append(set.names, f.name)
		set.entries[f.name] = entry{rule, text, mode}
	}
}

// rule reads one rule, or returns nil and a fault.
func (p *parser) rule(f field) *bucket.Rule {
	before, at := p.count, place{rule: f.name}
	if _, err := bucket.ParseRule(f.name, "1/second"); err != nil {
		p.refuse(f.key, at, err)
	}
	if !p.plain(f.value, at) {
		return nil
	}
	var rule *bucket.Rule
	var err error
	switch f.value.Kind {
	case yaml.MappingNode:
		limits, opts := p.ruleFields(f, at)
		if p.count > before {
			return nil
		}
		rule, err = bucket.NewRule(f.name, limits, opts...)
	default:
		text, ok := p.text(f.value, at)
		if !ok || p.count > before {
			return nil
		}
		rule, err = bucket.ParseRule(f.name, text)
	}
	if err != nil {
		p.refuse(f.value, at, err)
		return nil
	}
	return rule
}

// ruleFields reads a rule in the long form.
func (p *parser) ruleFields(rule field, at place) (limits []bucket.Limit, opts []bucket.RuleOption) {
	found := false
	for f := range p.fields(rule.value, at) {
		part := at.part(f.name)
		switch f.name {
		case "limits":
			found = true
			limits = p.limits(f.value, part)
		case "penalty":
			for _, l := range p.limits(f.value, part) {
				opts = append(opts, bucket.WithPenalty(l))
			}
		case "policy":
			if policy, ok := p.policy(f.value, part); ok {
				opts = append(opts, bucket.WithFailurePolicy(policy))
			}
		case "mode":
			if text, ok := p.text(f.value, part); ok {
				var mode bucket.Mode
				if err := mode.Set(strings.ToLower(text)); err != nil {
					p.refuse(f.value, part, err)
				}
				opts = append(opts, bucket.WithMode(mode))
			}
		default:
			p.fault(f.key, at, "unknown field %q; a rule has limits, penalty, policy and mode", shorten(f.name))
		}
	}
	if !found {
		p.fault(rule.key, at, "no field limits; give at least one, as limits: 5/second")
	}
	return limits, opts
}

func (p *parser) policy(n *yaml.Node, at place) (policy bucket.FailurePolicy, ok bool) {
	text, ok := p.text(n, at)
	if !ok {
		return 0, false
	}
	if err := policy.Set(text); err != nil {
		p.fault(n, at, "%q is none; choose local share, allow or deny", shorten(text))
		return 0, false
	}
	return policy, true
}
