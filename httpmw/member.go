package httpmw

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// member is an item of a list of structured fields (RFC 9651, 3.1) that is a string
// with parameters, as it stands there.
type member struct {
	text string
	name string // the string, quotes included
	left int64  // parameter r; the largest integer without one
}

// members reads a list that a layer around this one has set. ok is false if it has
// items of another kind: then it's none of ours, and to be replaced.
func members(lines []string) (list []member, ok bool) {
	rest := strings.Join(lines, ",")
	for {
		rest = strings.TrimLeft(rest, " \t")
		end := endOfString(rest)
		if end == 0 {
			return nil, false
		}
		m := member{name: rest[:end], left: math.MaxInt64}
		params := endOfItem(rest[end:])
		if params < 0 {
			return nil, false
		}
		m.text = strings.TrimRight(rest[:end+params], " \t")
		if _, r, found := strings.Cut(m.text[end:], ";r="); found {
			r, _, _ = strings.Cut(r, ";")
			if left, err := strconv.ParseInt(r, 10, 64); err == nil {
				m.left = left
			}
		}
		list = append(list, m)
		if rest = rest[end+params:]; rest == "" {
			return list, true
		}
		rest = rest[1:] // the comma
	}
}

// endOfString is where the quoted string ends that s begins with, 0 if it doesn't.
func endOfString(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// endOfItem is where the item's parameters end, at the comma or with s; -1 if
// a string among them doesn't.
func endOfItem(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',':
			return i
		case '"':
			end := endOfString(s[i:])
			if end == 0 {
				return -1
			}
			i += end - 1
		}
	}
	return len(s)
}

// withPolicies is the list of others with the policies of one more rule, which
// take the place of those of the same names.
func withPolicies(others []string, policies string) string {
	if len(others) == 1 && others[0] == policies {
		return policies
	}
	list, ok := members(others)
	if !ok {
		return policies
	}
	ours, _ := members([]string{policies})
	for _, m := range ours {
		if i := indexOf(list, m.name); i >= 0 {
			list[i] = m
		} else {
			list = append(list, m)
		}
	}
	return texts(list)
}

// withLimits is the list of others with one more limit, that which has the least
// left first; one that refused is the first of all. A name is listed once, with the
// least that was said.
func withLimits(others []string, ours member, refused bool) string {
	list, ok := members(others)
	if !ok {
		return ours.text
	}
	if i := indexOf(list, ours.name); i >= 0 {
		if list[i].left < ours.left && !refused {
			ours = list[i]
		}
		list = append(list[:i], list[i+1:]...)
	}
	place := 0
	for !refused && place < len(list) && list[place].left <= ours.left {
		place++
	}
	return texts(slices.Insert(list, place, ours))
}

func texts(list []member) string {
	all := make([]string, len(list))
	for i, m := range list {
		all[i] = m.text
	}
	return strings.Join(all, ", ")
}

func indexOf(list []member, name string) int {
	for i := range list {
		if list[i].name == name {
			return i
		}
	}
	return -1
}
