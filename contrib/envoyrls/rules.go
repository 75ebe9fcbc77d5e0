package envoyrls

import (
	"net/url"
	"strings"
	"sync/atomic"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// Rules is the rules of a rules file as a Source. set returns those that are in
// force, as the method Set of a rules.File does; it is called for each descriptor.
//
// A rule is found by its name, <domain>/<key>[=<value>]/<key>[=<value>]... with as
// many keys as the descriptor has entries, in their order:
//
//	rules:
//	  edge/remote_address: 10/second              # each address by itself
//	  edge/remote_address=50.0.0.5: 0/second      # this one
//	  edge/tenant/path=%2Flogin: 5/minute         # each tenant, at /login
//
// Key and value go before the key alone, and what the first entries match before what
// later ones do; a rule is found wherever one matches. The limiter's key is the values
// of the keys that stand alone: one value as it is, several with a "/" between them.
// So a program that asks for the rule edge/remote_address by itself, with the address
// for its key, shares the limit with Envoy. In names and in keys of several values,
// "/", "=" and "%" within a part are written %2F, %3D and %25; any %xx may stand in a
// name. Rules without a "/" in their names are for other uses of the file.
func Rules(set func() *rules.Set) Source { return &ruleSource{set: set} }

type ruleSource struct {
	set   func() *rules.Set
	index atomic.Pointer[ruleIndex]
}

// ruleIndex is the trees of one set.
type ruleIndex struct {
	set     *rules.Set
	domains map[string]*tree
}

func (s *ruleSource) Find(domain string, entries []*common.RateLimitDescriptor_Entry) (Match, bool) {
	set, index := s.set(), s.index.Load()
	if index == nil || index.set != set {
		index = &ruleIndex{set, map[string]*tree{}}
		for rule := range set.All() {
			index.add(rule)
		}
		s.index.Store(index)
	}
	return search(index.domains, domain, entries)
}

func (x *ruleIndex) add(rule *bucket.Rule) {
	domain, path, ok := strings.Cut(rule.Name(), "/")
	if !ok {
		return
	}
	domain = unescape(domain)
	if x.domains[domain] == nil {
		x.domains[domain] = &tree{}
	}
	t := x.domains[domain]
	for part := range strings.SplitSeq(path, "/") {
		key, value, exact := strings.Cut(part, "=")
		if exact {
			t = t.child(unescape(key), unescape(value))
		} else {
			t = t.childAlone(unescape(key))
		}
	}
	t.leaf = Match{Rule: rule}
}

// child returns what is below a key and a value, and makes it if there is nothing.
func (t *tree) child(key, value string) *tree {
	p := pair{key, value}
	if t.exact == nil {
		t.exact = map[pair]*tree{}
	}
	if t.exact[p] == nil {
		t.exact[p] = &tree{strict: t.strict}
	}
	return t.exact[p]
}

// childAlone is child for any value.
func (t *tree) childAlone(key string) *tree {
	if t.alone == nil {
		t.alone = map[string]*tree{}
	}
	if t.alone[key] == nil {
		t.alone[key] = &tree{strict: t.strict}
	}
	return t.alone[key]
}

// unescape reads a part of a name; a "%" that begins no escape is itself.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
