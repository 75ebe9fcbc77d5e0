package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// ipv6Bits is how much of an IPv6 address counts: a customer is given at least
// this much to choose addresses from (RFC 6177).
const ipv6Bits = 64

var (
	errNoAddress = errors.New("httpmw: the connection has no IP address")
	errNoHeader  = errors.New("httpmw: header missing")
)

// ClientIP counts by the address of the client: an IPv4 address, or the /64 of
// an IPv6 address.
//
// Without trusted proxies that is the other end of the connection, and no header
// is looked at, since a client can write any. If the connection comes from one
// of the trusted prefixes, the hops in X-Forwarded-For, of all its lines, are
// followed from the right, each of them named by the one before, as long as they
// are trusted too. The first that isn't is the client; so a client can't choose
// its key by what it writes to the left. Where a hop can't be read, the last one
// that could counts.
//
// A connection without an IP address, as over a Unix socket, has no key.
func ClientIP(trusted ...netip.Prefix) KeyFunc {
	proxies := make(prefixes, len(trusted))
	for i, p := range trusted {
		proxies[i] = unmapPrefix(p)
	}
	return func(r *http.Request) (string, error) {
		peer, ok := parseAddress(r.RemoteAddr)
		if !ok {
			return "", errNoAddress
		}
		return addressKey(proxies.client(peer, r.Header["X-Forwarded-For"])), nil
	}
}

// Header counts by the value of a header, such as an API key that a layer
// before has checked. A request without it has no key.
func Header(name string) KeyFunc {
	name = http.CanonicalHeaderKey(name)
	return func(r *http.Request) (string, error) {
		if v := r.Header.Get(name); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("%w: %s", errNoHeader, name)
	}
}

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
