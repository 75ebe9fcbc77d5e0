package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

var (
	errNoAddress  = errors.New("grpcmw: the connection has no IP address")
	errNoMetadata = errors.New("grpcmw: metadata missing, empty or given more than once")
	errNoPart     = errors.New("grpcmw: a part of the key is empty")
)

// PeerIP counts by the address of the client: an IPv4 address, or the /64 of an IPv6
// address.
//
// Without trusted proxies that is the other end of the connection, and no metadata is
// looked at, since a client can write any. If the connection comes from one of the
// trusted prefixes, the hops in x-forwarded-for, of all its lines, are followed from
// the right, each of them named by the one before, as long as they are trusted too.
// The first that isn't is the client; so a client can't choose its key by what it
// writes to the left. Where a hop can't be read, the last one that could counts.
//
// A connection without an IP address, as over a Unix socket, has no key.
func PeerIP(trusted ...netip.Prefix) KeyFunc {
	proxies := make(prefixes, len(trusted))
	for i, p := range trusted {
		proxies[i] = unmapPrefix(p)
	}
	return func(ctx context.Context, _ string, _ any) (string, error) {
		address, ok := peerAddress(ctx)
		if !ok {
			return "", errNoAddress
		}
		if proxies.contain(address) {
			address = proxies.client(address, metadata.ValueFromIncomingContext(ctx, "x-forwarded-for"))
		}
		return addressKey(address), nil
	}
}

func peerAddress(ctx context.Context) (netip.Addr, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}, false
	}
	if tcp, ok := p.Addr.(*net.TCPAddr); ok {
		a := tcp.AddrPort().Addr().Unmap()
		return a, a.IsValid()
	}
	return parseAddress(p.Addr.String())
}

// Metadata counts by a value of the call's metadata, such as an API key that an
// interceptor before has checked. A call without it has no key, and neither has one
// that gives it more than once, as who checked it may have read the other.
func Metadata(name string) KeyFunc {
	name = strings.ToLower(name)
	return func(ctx context.Context, _ string, _ any) (string, error) {
		if v := metadata.ValueFromIncomingContext(ctx, name); len(v) == 1 && v[0] != "" {
			return v[0], nil
		}
		return "", fmt.Errorf("%w: %s", errNoMetadata, name)
	}
}

// Method is a KeyFunc that counts by the method: all clients together, but each
// method on its own. See [Join] for each client and method.
func Method(_ context.Context, method string, _ any) (string, error) { return method, nil }

// Join counts by several keys in one: calls count together if all of them agree. A
// call that has no key by one of them has none.
func Join(keys ...KeyFunc) KeyFunc {
	keys = append([]KeyFunc(nil), keys...)
	return func(ctx context.Context, method string, request any) (string, error) {
		var b []byte
		for _, key := range keys {
			part, err := key(ctx, method, request)
			if err != nil {
				return "", err
			}
			if part == "" {
				return "", errNoPart
			}
			b = strconv.AppendInt(b, int64(len(part)), 10) // so that no part can reach into the next
			b = append(append(b, ':'), part...)
		}
		return string(b), nil
	}
}
