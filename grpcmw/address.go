package grpcmw

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What an address counts as is the same as in httpmw, which a test compares: neither
// may import the other.

// ipv6Bits is how much of an IPv6 address counts: a customer is given at least this
// much to choose addresses from (RFC 6177).
const ipv6Bits = 64

// maxHops is how many proxies are followed, and maxAddress how long the text of an
// address may be: more than any real chain and address have.
const (
	maxHops    = 64
	maxAddress = 128
)

type prefixes []netip.Prefix

func (p prefixes) contain(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client follows the hops from the peer to the first that is not trusted.
func (p prefixes) client(peer netip.Addr, forwarded []string) netip.Addr {
	hops := 0
	for _, rest := range slices.Backward(forwarded) {
		for more := true; more; hops++ {
			if !p.contain(peer) || hops == maxHops {
				return peer
			}
			var hop string
			comma := strings.LastIndexByte(rest, ',')
			hop, more = rest[comma+1:], comma >= 0
			rest = rest[:max(comma, 0)]
			next, ok := parseAddress(strings.Trim(hop, " \t"))
			if !ok {
				return peer
			}
			peer = next
		}
	}
	return peer
}

// parseAddress reads an address as proxies write it, with or without a port:
// 203.0.113.7, 203.0.113.7:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80; and
// 2001:db8::1:54321, as CloudFront has it, if it is no address of its own.
func parseAddress(s string) (netip.Addr, bool) {
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

func addressKey(a netip.Addr) string {
	if a.Is6() {
		return netip.PrefixFrom(a, ipv6Bits).Masked().String()
	}
	return a.String()
}

// unmapPrefix makes a prefix of IPv4-mapped addresses one of IPv4 addresses.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}
