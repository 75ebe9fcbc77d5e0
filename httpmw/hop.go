package httpmw

import (
	"net/netip"
	"strconv"
	"strings"
)

// maxAddress is how long the text of an address may be; the longest real one, with
// brackets, a zone and a port, is shorter.
const maxAddress = 128

// list is a header to which each proxy appends where its request came from.
type list interface {
	// cut takes the last element off a line; more says that there are others.
	// What is to the left of the element has no influence on where it begins.
	cut(line string) (element, rest string, more bool)
	// address is what the element names; false if that is no address.
	address(element string) (netip.Addr, bool)
}

// forwardedFor is X-Forwarded-For.
type forwardedFor struct{}

func (forwardedFor) cut(line string) (element, rest string, more bool) {
	i := strings.LastIndexByte(line, ',')
	return line[i+1:], line[:max(i, 0)], i >= 0
}

func (forwardedFor) address(element string) (netip.Addr, bool) {
	return parseAddress(trim(element), isPort)
}

// parseAddress reads an address as proxies write it, with or without a port that
// is one by isPort: 203.0.113.7, 203.0.113.7:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80; and 2001:db8::1:54321, as CloudFront has it, if it is no address
// of its own.
func parseAddress(s string, isPort func(string) bool) (netip.Addr, bool) {
	if len(s) > maxAddress {
		return netip.Addr{}, false
	}
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		host, port, closed := strings.Cut(inner, "]")
		if !closed || !strings.Contains(host, ":") || port != "" && !(port[0] == ':' && isPort(port[1:])) {
			return netip.Addr{}, false
		}
		return parseHost(host)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon != strings.IndexByte(s, ':') {
		if a, ok := parseHost(s); ok || colon < 0 {
			return a, ok
		}
	}
	if !isPort(s[colon+1:]) {
		return netip.Addr{}, false
	}
	return parseHost(s[:colon])
}

func parseHost(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// isPort says whether s is a port's number.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// prefixes are networks of addresses without zones.
type prefixes []netip.Prefix

// newPrefixes makes prefixes of IPv4-mapped addresses ones of IPv4 addresses, as
// the addresses are.
func newPrefixes(list []netip.Prefix) prefixes {
	ps := make(prefixes, len(list))
	for i, p := range list {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		ps[i] = p
	}
	return ps
}

func (ps prefixes) contain(a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
