package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Bits of an address that count by default. A customer is given at least a /64 of
// IPv6 to choose addresses from (RFC 6177), so one address says nothing there.
const (
	ipv4Bits = 32
	ipv6Bits = 64
)

// maxHops is how many proxies are followed: more than any real chain has, and few
// enough that a header full of trusted addresses costs nothing.
const maxHops = 64

var errNoAddress = fmt.Errorf("%w: the connection has no IP address", ErrNoKey)

// AddressConfig says how to find the client of a request. The zero value believes
// no header.
type AddressConfig struct {
	// TrustedProxies are where the service's own proxies connect from: what
	// they say in Header is believed, and nobody else's word. If none are given,
	// the client is the other end of the connection.
	TrustedProxies []netip.Prefix

	// TrustUnix says that Unix sockets are connected to by a trusted proxy, as by
	// an nginx on the same host. Without it a request over one has no address.
	TrustUnix bool

	// Header is the header in which the proxies say where a request is from;
	// "" means X-Forwarded-For.
	//
	// X-Forwarded-For and Forwarded (RFC 7239) are lists, to which each proxy
	// adds the address that connected to it. Any other, such as CF-Connecting-IP
	// or X-Real-IP, holds one address, and is as good as the outermost proxy
	// that sets it: that must overwrite what the client has sent.
	Header string

	// PrefixV4 and PrefixV6 are how many bits of an address count, from 1 to 32
	// and to 128; 0 means 32 and 64.
	PrefixV4, PrefixV6 int
}

// Address finds the client's address of a request, and counts by it. It may be used
// by many goroutines at once.
//
// The other end of the connection is the client, unless it is a trusted proxy. Then
// the hops of the header, of all its lines, are followed from the right, each
// of them named by the one before, as long as they are trusted too. The first that
// isn't is the client; so a client can't choose its address by what it writes to
// the left. Of a header that is no list, the one address is the client.
//
// Where a hop can't be read, the last one that could counts, which is a proxy: a
// missing or empty element or header, garbage, a name, "unknown" and the obfuscated
// identifiers of RFC 7239, or several lines of a header that is no list. So all
// requests that a proxy makes unreadable share a bucket, and none goes
// uncounted. At most 64 hops are followed.
//
// IPv4-mapped addresses are IPv4 addresses, and zones and ports don't count.
type Address struct {
	proxies prefixes
	unix    bool
	header  string // in its canonical form
	hops    list   // nil if header is no list
	v4, v6  int
}

// NewAddress returns an Address, or an error for each fault of the config.
func NewAddress(cfg AddressConfig) (*Address, error) {
	a := newAddress(cfg)
	var errs []error
	for i, p := range cfg.TrustedProxies {
		switch {
		case !p.IsValid():
			errs = append(errs, fmt.Errorf("httpmw: TrustedProxies[%d] is no prefix; write one as netip.ParsePrefix reads it", i))
		case a.proxies[i].Bits() == 0:
			errs = append(errs, fmt.Errorf("httpmw: TrustedProxies[%d], %v, trusts everybody, so clients would choose their address; list the proxies alone", i, p))
		}
	}
	if !isToken(a.header) {
		errs = append(errs, fmt.Errorf("httpmw: Header %q can't be a header's name", cfg.Header))
	}
	if cfg.Header != "" && len(cfg.TrustedProxies) == 0 && !cfg.TrustUnix {
		errs = append(errs, fmt.Errorf("httpmw: Header %q would never be believed; list the proxies in TrustedProxies, or leave it out", cfg.Header))
	}
	if a.v4 < 1 || a.v4 > 32 {
		errs = append(errs, fmt.Errorf("httpmw: PrefixV4 %d is not between 1 and 32", cfg.PrefixV4))
	}
	if a.v6 < 1 || a.v6 > 128 {
		errs = append(errs, fmt.Errorf("httpmw: PrefixV6 %d is not between 1 and 128", cfg.PrefixV6))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// ClientIP counts by the address of the client: an IPv4 address, or the /64 of an
// IPv6 address. The proxies in the trusted prefixes are believed in what they say
// in X-Forwarded-For, as [Address] has it; without any no header is looked at,
// since a client can write any. For other headers and prefixes see [NewAddress].
func ClientIP(trusted ...netip.Prefix) KeyFunc {
	return newAddress(AddressConfig{TrustedProxies: trusted}).Key
}

func newAddress(cfg AddressConfig) *Address {
	a := &Address{
		proxies: newPrefixes(cfg.TrustedProxies),
		unix:    cfg.TrustUnix,
		header:  http.CanonicalHeaderKey(cfg.Header),
		v4:      cfg.PrefixV4,
		v6:      cfg.PrefixV6,
	}
	if a.v4 == 0 {
		a.v4 = ipv4Bits
	}
	if a.v6 == 0 {
		a.v6 = ipv6Bits
	}
	switch a.header {
	case "", "X-Forwarded-For":
		a.header, a.hops = "X-Forwarded-For", forwardedFor{}
	case "Forwarded":
		a.hops = forwarded{}
	}
	return a
}

// Key counts by the client's address: a [KeyFunc]. The key is an address, or
// a prefix if fewer bits than all of them count. A request without an address, as
// over a Unix socket, has no key.
func (a *Address) Key(r *http.Request) (string, error) {
	client, err := a.Of(r)
	if err != nil {
		return "", err
	}
	bits := a.v4
	if client.Is6() {
		bits = a.v6
	}
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")]byte
	if bits == client.BitLen() {
		key := client.AppendTo(text[:0])
		if peer, ok := strings.CutPrefix(r.RemoteAddr, string(key)); ok && strings.HasPrefix(peer, ":") {
			return r.RemoteAddr[:len(key)], nil // which costs no string of its own
		}
		return string(key), nil
	}
	return string(netip.PrefixFrom(client, bits).Masked().AppendTo(text[:0])), nil
}

// Of returns the client's address, with all its bits. The error wraps [ErrNoKey].
func (a *Address) Of(r *http.Request) (netip.Addr, error) {
	peer, ok := parseAddress(r.RemoteAddr, isPort)
	if !ok && !(a.unix && overUnix(r.Context())) {
		return netip.Addr{}, errNoAddress
	}
	if client := a.client(peer, r.Header); client.IsValid() {
		return client, nil
	}
	return netip.Addr{}, errNoAddress
}

// In returns a function that says whether the client's address is in one of the
// prefixes, for limits that are only for some networks, or for all but some. It is
// false for a request without an address.
func (a *Address) In(networks ...netip.Prefix) func(*http.Request) bool {
	list := newPrefixes(networks)
	return func(r *http.Request) bool {
		client, err := a.Of(r)
		return err == nil && list.contain(client)
	}
}

// client is whom the peer stands for. A peer that is no address is a trusted one
// that has none, and so is what is returned then if it names nobody.
func (a *Address) client(peer netip.Addr, h http.Header) netip.Addr {
	if !a.trusts(peer) {
		return peer
	}
	lines := h[a.header]
	if a.hops != nil {
		return a.follow(peer, lines)
	}
	if len(lines) != 1 {
		return peer
	}
	if client, ok := parseAddress(trim(lines[0]), isPort); ok {
		return client
	}
	return peer
}

// follow follows the hops from the peer to the first that is not trusted.
func (a *Address) follow(peer netip.Addr, lines []string) netip.Addr {
	hops := 0
	for _, rest := range slices.Backward(lines) {
		for more := true; more; hops++ {
			if !a.trusts(peer) || hops == maxHops {
				return peer
			}
			var hop string
			hop, rest, more = a.hops.cut(rest)
			next, ok := a.hops.address(hop)
			if !ok {
				return peer
			}
			peer = next
		}
	}
	return peer
}

func (a *Address) trusts(peer netip.Addr) bool { return !peer.IsValid() || a.proxies.contain(peer) }

// overUnix says whether the request came over a Unix socket, as http.Server notes.
func overUnix(ctx context.Context) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
