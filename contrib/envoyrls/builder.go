package envoyrls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/shoal-dev/shoal/bucket"
)

// maxDepth bounds the levels of descriptors, as maxEntries does in requests.
const maxDepth = maxEntries

// builder makes a Config of one file after the other.
type builder struct {
	parser
	options []bucket.RuleOption
	made    Config
	places  map[place]string // where each was written
}

// place is one of the children of a tree.
type place struct {
	parent *tree
	pair
}

func newBuilder(options []bucket.RuleOption) *builder {
	return &builder{options: options, made: Config{domains: map[string]*tree{}}, places: map[place]string{}}
}

// config returns what has been read, if nothing was wrong.
func (b *builder) config() (*Config, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return &b.made, nil
}

func (b *builder) read(name string, data []byte) {
	b.file, b.left = name, aliased+len(data) // a part has a byte, at least
	root := b.document(data)
	if root == nil {
		return
	}
	fields := b.fields(root, "", "domain", "descriptors")
	domain := b.text(fields["domain"], "domain")
	if domain == "" {
		b.fault(root, "domain", "it is missing or empty; write domain: and a name, once for all descriptors of the file")
		return
	}
	t := b.made.domains[domain]
	if t == nil {
		t = &tree{strict: true}
		b.made.domains[domain] = t
	}
	b.descriptors(fields["descriptors"], t, "descriptors", escape(domain), maxDepth)
}

// descriptors reads a list below t, whose place in the tree the path names.
func (b *builder) descriptors(list *yaml.Node, t *tree, at, path string, depth int) {
	for i, n := range b.items(list, at) {
		at := fmt.Sprintf("%s[%d]", at, i+1)
		if depth == 0 {
			b.fault(n, at, "over %d levels of descriptors; no request has as many entries", maxDepth)
			return
		}
		fields := b.fields(n, at, "key", "value", "rate_limit", "descriptors", "shadow_mode", "quota_mode",
			"detailed_metric", "value_to_metric", "share_threshold", "metadata")
		if fields == nil {
			continue
		}
		key, value := b.text(fields["key"], at+".key"), b.text(fields["value"], at+".value")
		if key == "" {
			b.fault(n, at+".key", "it is missing or empty; every descriptor has a key")
			continue
		}
		shared := b.flag(fields["share_threshold"], at+".share_threshold")
		if shared && !strings.Contains(value, "*") {
			b.fault(fields["share_threshold"], at+".share_threshold", "only a value with * in it matches several that can share; leave it out")
		}
		child := b.child(t, n, at, key, value, shared)
		if child == nil {
			continue
		}
		below := path + "/" + escape(key)
		if value != "" {
			below += "=" + escape(value)
		}
		child.leaf = b.leaf(fields, at, below)
		b.flag(fields["detailed_metric"], at+".detailed_metric")
		b.flag(fields["value_to_metric"], at+".value_to_metric")
		b.descriptors(fields["descriptors"], child, at+".descriptors", below, depth-1)
	}
}

// child makes a place below t; nil and a fault if there is one already.
func (b *builder) child(t *tree, n *yaml.Node, at, key, value string, shared bool) *tree {
	p := place{t, pair{key, value}}
	if first, twice := b.places[p]; twice {
		b.fault(n, at, "key %q with value %q is here for the second time, after %s; keep one", shorten(key), shorten(value), first)
		return nil
	}
	b.places[p] = fmt.Sprintf("%s:%d", b.file, n.Line)
	switch {
	case value == "":
		return t.childAlone(key)
	case strings.Contains(value, "*"):
		child := &tree{strict: true}
		t.wild = append(t.wild, wildcard{key, strings.Split(value, "*"), shared, child})
		return child
	}
	return t.child(key, value)
}

// leaf reads what limits descriptors that end here.
func (b *builder) leaf(fields map[string]*yaml.Node, at, path string) (m Match) {
	options := b.options
	if b.flag(fields["shadow_mode"], at+".shadow_mode") {
		options = append(options[:len(options):len(options)], bucket.WithMode(bucket.Shadow))
	}
	m.Quota = b.flag(fields["quota_mode"], at+".quota_mode")
	m.Metadata = b.metadata(fields["metadata"], at+".metadata")
	if blank(fields["rate_limit"]) {
		return Match{}
	}
	n, at := fields["rate_limit"], at+".rate_limit"
	limit := b.fields(n, at, "name", "replaces", "unit", "requests_per_unit", "unlimited")
	if limit == nil {
		return Match{}
	}
	m.Name = b.text(limit["name"], at+".name")
	m.Replaces = b.replaces(limit["replaces"], at+".replaces", m.Name)
	word := b.text(limit["unit"], at+".unit")
	u, known := unitOf(word)
	if m.Unlimited = b.flag(limit["unlimited"], at+".unlimited"); m.Unlimited {
		if known {
			b.fault(limit["unit"], at+".unit", "what is unlimited has none; leave out unit, or unlimited")
		}
		return m
	}
	if !known {
		b.fault(or(limit["unit"], n), at+".unit", "%q is none; choose second, minute, hour, day, week, month or year", shorten(word))
	}
	count, err := strconv.ParseUint(b.text(limit["requests_per_unit"], at+".requests_per_unit"), 10, 32)
	if err != nil {
		b.fault(or(limit["requests_per_unit"], n), at+".requests_per_unit", "give a whole number up to 4294967295; 0 refuses everything")
	}
	if !known || err != nil {
		return m
	}
	m.Rule, err = bucket.NewRule(bounded(path), []bucket.Limit{window(int64(count), u.per)}, options...)
	if err != nil { // the caller's options
		b.fault(n, at, "%v", err)
		return m
	}
	b.made.rules = append(b.made.rules, m.Rule)
	return m
}

func (b *builder) replaces(list *yaml.Node, at, own string) (names []string) {
	for i, n := range b.items(list, at) {
		at := fmt.Sprintf("%s[%d]", at, i+1)
		fields := b.fields(n, at, "name")
		if fields == nil {
			continue
		}
		switch name := b.text(fields["name"], at+".name"); name {
		case "":
			b.fault(n, at+".name", "it is missing or empty; give the name of another rate_limit")
		case own:
			b.fault(n, at+".name", "a limit can't replace itself; give the name of another")
		default:
			names = append(names, name)
		}
	}
	return names
}

func (b *builder) metadata(n *yaml.Node, at string) *structpb.Struct {
	if blank(n) {
		return nil
	}
	tree, ok := b.value(n, at, maxDepth).(map[string]any)
	if !ok {
		b.fault(n, at, "a mapping belongs here")
		return nil
	}
	s, err := structpb.NewStruct(tree)
	if err != nil {
		b.fault(n, at, "%s", strings.ReplaceAll(errors.Unwrap(err).Error(), "\u00a0", " "))
		return nil
	}
	return s
}
