package grpcmw

import (
	"net/netip"
	"strings"
)

// What an address counts as is the same as in httpmw, which a test compares: neither
// may import the other.

// ipv6Bits is how much of an IPv6 address counts: a customer is given at least this
// much to choose addresses from (RFC 6177).
const ipv6Bits = 64

type prefixes []netip.Prefix

func (p prefixes) contain(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a.WithZone("")) {
			return true
		}
	}
	return false
}

// client follows the hops from the peer to the first that is not trusted.
func (p prefixes) client(peer netip.Addr, forwarded []string) netip.Addr {
	for line := len(forwarded) - 1; line >= 0; line-- {
		rest := forwarded[line]
		for more := true; more; {
			if !p.contain(peer) {
				return peer
			}
			var hop string
			comma := strings.LastIndexByte(rest, ',')
			hop, more = rest[comma+1:], comma >= 0
			rest = rest[:max(comma, 0)]
			next, ok := parseAddress(hop)
			if !ok {
				return peer
			}
			peer = next
		}
	}
	return peer
}

// parseAddress reads an address as proxies write it, with or without a port.
func parseAddress(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil
}

func addressKey(a netip.Addr) string {
	a = a.WithZone("")
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
