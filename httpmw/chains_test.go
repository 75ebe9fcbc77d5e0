package httpmw_test

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/shoal-dev/shoal/httpmw"
)

// a chain is what arrives of a client's request through proxies as they are
// deployed, in the form that each of them writes.
type chain struct {
	name    string
	trusted []netip.Prefix
	header  string // "" for X-Forwarded-For
	peer    string
	lines   []string // after the client's own
	want    string
	// What a client that forges the header itself adds: "" for a proxy that
	// overwrites it, "," and ", " for one that appends to the line, "\n" for one
	// that appends a line.
	appends string
}

// chains are in documentation addresses: 203.0.113.7 and 2001:db8:aa:bb::1 are
// clients, and 198.51.100.0/24 is what a provider has in public.
func chains() []chain {
	var (
		host = prefixes("127.0.0.0/8", "::1/128")
		ten  = prefixes("10.0.0.0/8")
		gcp  = prefixes("130.211.0.0/22", "35.191.0.0/16", "198.51.100.9/32") // and the balancer's own address
		cdn  = prefixes("10.0.0.0/8", "198.51.100.0/24", "2400:cb00::/32")
	)
	const xff, fwd, v4, v6 = "", "Forwarded", "203.0.113.7", "2001:db8:aa:bb::/64"
	return []chain{
		{"nginx, $proxy_add_x_forwarded_for", host, xff, "127.0.0.1:50000", lines("203.0.113.7"), v4, ", "},
		{"nginx, X-Real-IP", host, "X-Real-IP", "[::1]:50000", lines("2001:db8:aa:bb::1"), v6, ""},
		{"nginx, Forwarded by a map", host, fwd, "127.0.0.1:50000", lines(`for="[2001:db8:aa:bb::1]"`), v6, ", "},
		{"HAProxy, option forwardfor", ten, xff, "10.0.0.2:80", lines("203.0.113.7"), v4, "\n"},
		{"HAProxy, option forwarded", ten, fwd, "10.0.0.2:80", lines("proto=http;for=203.0.113.7"), v4, "\n"},
		{"two HAProxies", ten, xff, "10.0.0.2:80", lines("203.0.113.7", "10.0.0.1"), v4, "\n"},
		{"Apache, mod_proxy", ten, xff, "10.0.0.2:80", lines("203.0.113.7"), v4, ", "},
		{"Apache before HAProxy", ten, xff, "10.0.0.3:80", lines("203.0.113.7", "10.0.0.2"), v4, ", "},
		{"Go, ReverseProxy.SetXForwarded", host, xff, "127.0.0.1:1", lines("2001:db8:aa:bb::1"), v6, ", "},
		{"Caddy on a dual-stack socket", host, xff, "[::ffff:127.0.0.1]:1", lines("203.0.113.7"), v4, ", "},
		{"Traefik", ten, "X-Real-Ip", "10.42.0.8:40000", lines("203.0.113.7"), v4, ""},
		{"Envoy, at the edge", ten, xff, "10.0.0.2:80", lines("203.0.113.7"), v4, ","},
		{"Envoy, at the edge and beside", prefixes("10.0.0.0/8", "127.0.0.6/32"), xff, "127.0.0.6:40000", lines("203.0.113.7,10.1.2.3"), v4, ","},
		{"Istio, X-Envoy-External-Address", prefixes("127.0.0.6/32"), "X-Envoy-External-Address", "127.0.0.6:40000", lines("203.0.113.7"), v4, ""},
		{"ingress-nginx behind a node's SNAT", ten, xff, "10.244.1.1:40000", lines("203.0.113.7"), v4, ""},
		{"OpenShift's router", ten, fwd, "10.128.0.1:40000", lines(`for=203.0.113.7;host=app.example.com;proto=https;proto-version=""`), v4, "\n"},
		{"OpenShift's router, before it quoted", ten, fwd, "10.128.0.1:40000", lines("for=2001:db8:aa:bb::1;host=app.example.com;proto=https;proto-version="), v6, "\n"},
		{"Spring Cloud Gateway", ten, fwd, "10.0.0.2:80", lines(`proto=http;host="example.com:8080";for="203.0.113.7:52702"`), v4, ","},
		{"Spring Cloud Gateway, IPv6", ten, fwd, "10.0.0.2:80", lines(`proto=http;host="example.com";for="[2001:db8:aa:bb:0:0:0:1]:52702"`), v6, ","},
		{"Spring Cloud Gateway, before it wrote brackets", ten, fwd, "10.0.0.2:80", lines(`proto=http;host="example.com";for="2001:db8:aa:bb:0:0:0:1:52144"`), v6, ","},
		{"AWS ALB", ten, xff, "10.0.7.9:33210", lines("203.0.113.7"), v4, ", "},
		{"AWS ALB, client port preserved", ten, xff, "10.0.7.9:33210", lines("203.0.113.7:51515"), v4, ", "},
		{"AWS ALB, IPv6 client port preserved", ten, xff, "10.0.7.9:33210", lines("[2001:db8:aa:bb::1]:51515"), v6, ", "},
		{"AWS ALB, then nginx", ten, xff, "10.0.9.9:33210", lines("203.0.113.7, 10.0.7.9"), v4, ", "},
		{"AWS API Gateway", ten, fwd, "10.0.7.9:33210", lines("by=198.51.100.4;for=203.0.113.7;host=x.execute-api.eu-west-1.amazonaws.com;proto=https"), v4, ""},
		{"CloudFront, ALB", cdn, xff, "10.0.7.9:33210", lines("203.0.113.7, 198.51.100.4"), v4, ", "},
		{"CloudFront-Viewer-Address", cdn, "CloudFront-Viewer-Address", "10.0.7.9:33210", lines("203.0.113.7:46532"), v4, ""},
		{"CloudFront-Viewer-Address, IPv6", cdn, "CloudFront-Viewer-Address", "10.0.7.9:33210", lines("2001:db8:aa:bb::1:46532"), v6, ""},
		{"Cloudflare, X-Forwarded-For", cdn, xff, "198.51.100.4:80", lines("203.0.113.7"), v4, ","},
		{"Cloudflare, CF-Connecting-IP", cdn, "CF-Connecting-IP", "[2400:cb00::5]:80", lines("2001:db8:aa:bb::1"), v6, ""},
		{"Cloudflare Tunnel", host, "Cf-Connecting-Ip", "127.0.0.1:60000", lines("203.0.113.7"), v4, ""},
		{"Akamai, True-Client-IP", cdn, "True-Client-IP", "198.51.100.4:80", lines("203.0.113.7"), v4, ""},
		{"Fastly, then ALB", cdn, xff, "10.0.7.9:33210", lines("203.0.113.7, 198.51.100.4"), v4, ", "},
		{"Fly, Fly-Client-IP", prefixes("172.16.0.0/12"), "Fly-Client-IP", "172.16.4.1:40000", lines("203.0.113.7"), v4, ""},
		{"Google's balancer", gcp, xff, "130.211.1.2:40000", lines("203.0.113.7,198.51.100.9"), v4, ","},
		{"Google's balancer, IPv6", gcp, xff, "35.191.1.2:40000", lines("2001:db8:aa:bb::1,198.51.100.9"), v6, ","},
		{"Azure Application Gateway", ten, xff, "10.0.0.4:80", lines("203.0.113.7:50331"), v4, ", "},
		{"Azure Front Door, X-Azure-ClientIP", cdn, "X-Azure-ClientIP", "198.51.100.4:80", lines("203.0.113.7"), v4, ""},
		{"IIS with ARR", ten, xff, "10.0.0.4:80", lines("203.0.113.7:50331"), v4, ", "},
		{"Heroku's router", ten, xff, "10.1.30.4:80", lines("203.0.113.7"), v4, ", "},
		{"a company's Squid, then ours", ten, xff, "10.0.0.2:80", lines("192.168.1.20, 203.0.113.7"), v4, ""},
		{"a company's Squid that tells nothing, then ours", ten, xff, "10.0.0.2:80", lines("unknown, 203.0.113.7"), v4, ""},
		{"a carrier's NAT with our own addresses inside", ten, xff, "10.0.0.2:80", lines("10.99.1.2, 203.0.113.7"), v4, ""},
		{"RFC 7239, 4", prefixes("10.0.0.0/8", "198.51.100.17/32"), fwd, "10.0.0.2:80", lines("for=203.0.113.7, for=198.51.100.17"), v4, ", "},
		{"RFC 7239, 6", ten, fwd, "10.0.0.2:80", lines(`For="[2001:db8:aa:bb::1]:4711"`), v6, ", "},
		{"RFC 7239, all parameters", ten, fwd, "10.0.0.2:80", lines("for=203.0.113.7;proto=http;by=203.0.113.43"), v4, ", "},
		{"RFC 7239, one proxy hides", ten, fwd, "10.0.0.2:80", lines("for=203.0.113.7, for=_gazonk;by=10.0.0.1, for=10.0.0.1"), "10.0.0.1", ", "},
	}
}

// TestProxyChains sends each chain as it is, and with all that a client could
// write into the header before the first proxy sees it.
func TestProxyChains(t *testing.T) {
	forgeries := []string{
		"198.51.100.1", "127.0.0.1", "10.0.0.1, 10.0.0.2", "for=198.51.100.1", `for="198.51.100.1`, `for="\`, `"`, `\"`, `x="a, b`,
		"for=10.0.0.1;for=10.0.0.2", "unknown", "_x", "", ",", ", ,;,", "::1", "[::1", "%", "\x00", `for="[::1]:80";by="`,
	}
	for _, c := range chains() {
		t.Run(c.name, func(t *testing.T) {
			a := newAddress(t, httpmw.AddressConfig{TrustedProxies: c.trusted, Header: c.header})
			name := http.CanonicalHeaderKey(c.header)
			if name == "" {
				name = "X-Forwarded-For"
			}
			isKey(t, a.Key, &http.Request{RemoteAddr: c.peer, Header: http.Header{name: c.lines}}, c.want)
			stranger := &http.Request{RemoteAddr: "192.0.2.66:4711", Header: http.Header{name: c.lines}}
			isKey(t, a.Key, stranger, "192.0.2.66")
			for _, forged := range forgeries {
				got := slices.Clone(c.lines)
				switch c.appends {
				case "":
					continue
				case "\n":
					got = append([]string{forged}, got...)
				default:
					got[0] = forged + c.appends + got[0]
				}
				isKey(t, a.Key, &http.Request{RemoteAddr: c.peer, Header: http.Header{name: got}}, c.want)
			}
		})
	}
}
