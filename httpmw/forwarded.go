package httpmw

import (
	"net/netip"
	"strings"
)

// forwarded is the header Forwarded (RFC 7239):
//
//	Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711";by=_lb
//
// It is read from the right, quoted strings too: what a proxy has appended begins
// at the same comma, whatever a client has left open to the left of it.
type forwarded struct{}

func (forwarded) cut(line string) (element, rest string, more bool) { return cutLast(line, ',') }

// address is that of the element's parameter "for". Names are compared without
// regard to case. There may be spaces around a parameter, and a token may have what
// the RFC wants quoted, since both occur; a second "for" may not be.
func (forwarded) address(element string) (netip.Addr, bool) {
	var node string
	var pair string
	for more := true; more; {
		pair, element, more = cutLast(element, ';')
		name, value, _ := strings.Cut(trim(pair), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if node != "" {
			return netip.Addr{}, false
		}
		if node = unquote(value); node == "" {
			return netip.Addr{}, false
		}
	}
	return parseAddress(node, isNodePort)
}

// cutLast cuts s at the last separator that is in no quoted string.
func cutLast(s string, separator byte) (last, rest string, found bool) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && !(quoted && escaped(s[:i])):
			quoted = !quoted
		case s[i] == separator && !quoted:
			return s[i+1:], s[:i], true
		}
	}
	return s, "", false
}

// escaped says whether what follows before, in a quoted string, is escaped: if it
// ends in an odd number of backslashes.
func escaped(before string) bool {
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}

// unquote is the text of a token or quoted string; "" if it is neither, or too long
// to be a node.
func unquote(s string) string {
	if len(s) > maxAddress {
		return ""
	}
	inner, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		return s
	}
	inner, closed := strings.CutSuffix(inner, `"`)
	if !closed || escaped(inner) {
		return ""
	}
	if !strings.ContainsAny(inner, `"\`) {
		return inner
	}
	text := make([]byte, 0, len(inner))
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return ""
		case '\\':
			i++ // not the last, which is not escaped
		}
		text = append(text, inner[i])
	}
	return string(text)
}

// isNodePort says whether s is a port of RFC 7239, 6: a number, or obfuscated.
func isNodePort(s string) bool {
	if hidden, ok := strings.CutPrefix(s, "_"); ok {
		return isToken(hidden)
	}
	return isPort(s)
}
