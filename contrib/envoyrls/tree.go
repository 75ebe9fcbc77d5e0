package envoyrls

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strings"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
)

// tree is what a source knows below one domain, or below some entries of one.
type tree struct {
	exact  map[pair]*tree
	wild   []wildcard       // in the order of the file
	alone  map[string]*tree // keys that match any value
	leaf   Match            // of descriptors that end here, but for the Key
	strict bool             // the first child that matches an entry is the only one
}

type pair struct{ key, value string }

// wildcard matches values by what is between its asterisks.
type wildcard struct {
	key    string
	parts  []string
	shared bool // all values count together
	child  *tree
}

// children goes over what matches an entry, the most specific first. free says that
// each value counts by itself.
func (t *tree) children(e *common.RateLimitDescriptor_Entry) iter.Seq2[*tree, bool] {
	return func(yield func(child *tree, free bool) bool) {
		if child := t.exact[pair{e.GetKey(), e.GetValue()}]; child != nil && !yield(child, false) {
			return
		}
		for _, w := range t.wild {
			if w.key == e.GetKey() && matches(w.parts, e.GetValue()) && !yield(w.child, !w.shared) {
				return
			}
		}
		if child := t.alone[e.GetKey()]; child != nil {
			yield(child, true)
		}
	}
}

// find follows the entries down to a limit. values are those that were free so far.
func (t *tree) find(entries []*common.RateLimitDescriptor_Entry, values []string) (m Match, ok bool) {
	if len(entries) == 0 {
		m = t.leaf
		m.Key = joinKey(values)
		return m, m.Rule != nil || m.Unlimited
	}
	for child, free := range t.children(entries[0]) {
		below := values
		if free {
			below = append(values[:len(values):len(values)], entries[0].GetValue())
		}
		if m, ok = child.find(entries[1:], below); ok || t.strict {
			return m, ok
		}
	}
	return Match{}, false
}

// search is a Source's Find.
func search(domains map[string]*tree, domain string, entries []*common.RateLimitDescriptor_Entry) (m Match, known bool) {
	t := domains[domain]
	if t == nil {
		return Match{}, false
	}
	if m, ok := t.find(entries, nil); ok {
		return m, true
	}
	return Match{}, true
}

// matches reports whether a value consists of the parts, with anything in between.
func matches(parts []string, value string) bool {
	first, last := parts[0], parts[len(parts)-1]
	rest, ok := strings.CutPrefix(value, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return true
}

// joinKey makes one key of the free values. One value is the key, so that a limit can
// be shared with what asks the cluster by itself.
func joinKey(values []string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = escape(v)
	}
	return strings.Join(escaped, "/")
}

// escapes are of what has a meaning in the names of rules.
var escapes = strings.NewReplacer("%", "%25", "/", "%2F", "=", "%3D")

func escape(s string) string { return escapes.Replace(s) }

// bounded keeps a name within what package bucket takes: a digest stands for the end
// of a longer one.
func bounded(name string) string {
	const most = 256
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	digest := hex.EncodeToString(sum[:])
	return name[:most-1-len(digest)] + "~" + digest
}
