package cluster

import (
	"strings"
	"testing"
)

// sees is a view of these members; one with a ! is leaving.
func sees(names string) *view {
	v := &view{}
	for name := range strings.FieldsSeq(names) {
		trimmed := strings.TrimSuffix(name, "!")
		v.members = append(v.members, &member{meta: meta{name: trimmed, leaving: trimmed != name}})
	}
	return v
}

// A side scales by its share of those who were seen and haven't said farewell.
func TestTheShareOfAMinority(t *testing.T) {
	const later = int64(absentTime)
	for what, steps := range map[string][]struct {
		names string
		now   int64
		want  int
	}{
		"half is no minority":      {{"a b c d", 0, 1}, {"a b", 1, 1}},
		"two of five":              {{"a b c d e", 0, 1}, {"a b", 1, 3}, {"a b", 2, 3}, {"a b c d e", 3, 1}},
		"one of five":              {{"a b c d e", 0, 1}, {"a", 1, 5}},
		"one after the other":      {{"a b c d", 0, 1}, {"a b c", 1, 1}, {"a b", 2, 1}, {"a", 3, 4}, {"a d", 4, 1}},
		"those who said farewell":  {{"a b c d e", 0, 1}, {"a b c! d! e!", 1, 1}, {"a b", 2, 1}},
		"those who went long ago":  {{"a b c d", 0, 1}, {"a", 1, 4}, {"a", 1 + later, 4}, {"a", 2 + later, 1}},
		"a replica that restarted": {{"a b c", 0, 1}, {"a", 1, 3}, {"a b", 2, 1}},
		"a view of nobody":         {{"a b c", 0, 1}, {"", 1, 1}},
	} {
		var m minority
		var v *view
		last := ""
		for _, s := range steps {
			if v == nil || s.names != last {
				v, last = sees(s.names), s.names
			}
			if got := m.scale(v, s.now); got != s.want {
				t.Errorf("%s: %q at %d: limits are divided by %d, want %d", what, s.names, s.now, got, s.want)
			}
		}
	}
}
