package httpmw_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-dev/shoal/httpmw"
)

func TestAddressConfigFaults(t *testing.T) {
	ten := prefixes("10.0.0.0/8")
	for _, c := range []struct {
		cfg  httpmw.AddressConfig
		want []string // nil if there is no fault
	}{
		{httpmw.AddressConfig{}, nil},
		{httpmw.AddressConfig{TrustedProxies: ten, Header: "cf-connecting-ip", PrefixV4: 1, PrefixV6: 1}, nil},
		{httpmw.AddressConfig{TrustUnix: true, Header: "Forwarded", PrefixV4: 32, PrefixV6: 128}, nil},
		{httpmw.AddressConfig{TrustedProxies: append(ten, netip.Prefix{})}, []string{"TrustedProxies[1] is no prefix"}},
		{httpmw.AddressConfig{TrustedProxies: prefixes("0.0.0.0/0", "::/0", "::ffff:0:0/96")}, []string{"[0], 0.0.0.0/0, trusts everybody", "[1], ::/0, trusts everybody", "[2], ::ffff:0.0.0.0/96, trusts everybody"}},
		{httpmw.AddressConfig{Header: "Forwarded"}, []string{`Header "Forwarded" would never be believed`}},
		{httpmw.AddressConfig{TrustedProxies: ten, Header: "X Real IP"}, []string{`Header "X Real IP" can't be`}},
		{httpmw.AddressConfig{PrefixV4: 33, PrefixV6: 129}, []string{"PrefixV4 33", "PrefixV6 129"}},
		{httpmw.AddressConfig{PrefixV4: -1, PrefixV6: -1, Header: "\n"}, []string{"PrefixV4 -1", "PrefixV6 -1", `Header "\n" can't`, "never be believed"}},
	} {
		a, err := httpmw.NewAddress(c.cfg)
		if (a == nil) != (err != nil) || (err != nil) != (c.want != nil) {
			t.Errorf("%+v: got %v, %v", c.cfg, a, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v doesn't say %q", c.cfg, err, want)
			}
		}
		if err != nil && strings.Count(err.Error(), "httpmw: ") != len(c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

func TestAddressPrefixes(t *testing.T) {
	for _, c := range []struct {
		v4, v6       int
		want4, want6 string
	}{
		{0, 0, "203.0.113.7", "2001:db8:1:2::/64"},
		{32, 128, "203.0.113.7", "2001:db8:1:2:3:4:5:6"},
		{24, 56, "203.0.113.0/24", "2001:db8:1::/56"},
		{1, 1, "128.0.0.0/1", "::/1"},
	} {
		a := newAddress(t, httpmw.AddressConfig{PrefixV4: c.v4, PrefixV6: c.v6})
		for peer, want := range map[string]string{
			"203.0.113.7:1": c.want4, "[::ffff:203.0.113.7]:1": c.want4, "203.0.113.7": c.want4,
			"[2001:db8:1:2:3:4:5:6]:1": c.want6, "[2001:db8:1:2:3:4:5:6%eth0]:1": c.want6,
		} {
			r := &http.Request{RemoteAddr: peer}
			isKey(t, a.Key, r, want)
			if client, err := a.Of(r); err != nil || client.Zone() != "" || client.Is4In6() || !strings.Contains("203.0.113.7 2001:db8:1:2:3:4:5:6", client.String()) {
				t.Errorf("%s: got %v, %v", peer, client, err)
			}
		}
	}
}

// TestNamedHeader: one address from a trusted proxy, or else the proxy's.
func TestNamedHeader(t *testing.T) {
	const proxy = "10.0.0.2"
	a := newAddress(t, httpmw.AddressConfig{TrustedProxies: prefixes("10.0.0.0/8"), Header: "x-real-ip"})
	for _, c := range []struct {
		values []string
		want   string
	}{
		{lines("203.0.113.7"), "203.0.113.7"},
		{lines(" [2001:db8:1:2::3]:80\t"), "2001:db8:1:2::/64"},
		{lines("10.9.9.9"), "10.9.9.9"}, // trusted itself: then it is the client
		{nil, proxy},
		{lines(""), proxy},
		{lines("203.0.113.7", "203.0.113.7"), proxy},
		{lines("203.0.113.7, 203.0.113.8"), proxy},
		{lines("unknown"), proxy},
	} {
		header := http.Header{"X-Real-Ip": c.values, "X-Forwarded-For": {"198.51.100.99"}, "Forwarded": {"for=198.51.100.99"}}
		isKey(t, a.Key, &http.Request{RemoteAddr: proxy + ":1", Header: header}, c.want)
		isKey(t, a.Key, &http.Request{RemoteAddr: "192.0.2.66:1", Header: header}, "192.0.2.66")
	}
}

// TestUnreadableAddresses is about the forms that proxies write beside the plain
// ones.
func TestUnreadableAddresses(t *testing.T) {
	key := httpmw.ClientIP(prefixes("10.0.0.0/8")...)
	for hop, want := range map[string]string{
		"2001:db8:1:2::3:54321":               "2001:db8:1:2::/64", // a port, as there is no such group
		"2001:db8:1:2:3:4:5:6:80":             "2001:db8:1:2::/64", // a ninth group
		"2001:db8:1:2::3:65536":               "10.0.0.2",
		"2001:db8:1:2:3:4:5:6:7:80":           "10.0.0.2",
		"203.0.113.7:1:54321":                 "10.0.0.2",
		"[2001:db8:1:2::3:54321]":             "10.0.0.2",
		"[203.0.113.7]":                       "10.0.0.2",
		"[203.0.113.7]:80":                    "10.0.0.2",
		"[2001:db8:1:2::3":                    "10.0.0.2",
		"[2001:db8:1:2::3]x":                  "10.0.0.2",
		"[2001:db8:1:2::3]:":                  "10.0.0.2",
		"2001:db8:1:2::3]":                    "10.0.0.2",
		"203.0.113.7:+80":                     "10.0.0.2",
		":":                                   "10.0.0.2",
		"::":                                  "::/64",
		"fe80::1%" + strings.Repeat("x", 200): "10.0.0.2",
	} {
		isKey(t, key, &http.Request{RemoteAddr: "10.0.0.2:80", Header: http.Header{"X-Forwarded-For": {hop}}}, want)
	}
}

// TestHopsAreBounded: a client within a trusted network can't make a request dear.
func TestHopsAreBounded(t *testing.T) {
	r := &http.Request{RemoteAddr: "10.0.0.2:80", Header: http.Header{"X-Forwarded-For": {"203.0.113.7" + strings.Repeat(",10.0.0.3", 62) + ",10.0.0.1"}}}
	key := httpmw.ClientIP(prefixes("10.0.0.0/8")...)
	isKey(t, key, r, "203.0.113.7")
	r.Header["X-Forwarded-For"] = append([]string{"198.51.100.1"}, r.Header["X-Forwarded-For"]...)
	isKey(t, key, r, "203.0.113.7")
	r.Header["X-Forwarded-For"][1] += ",10.0.0.1"
	isKey(t, key, r, "10.0.0.3")
}

func TestIn(t *testing.T) {
	a := newAddress(t, httpmw.AddressConfig{TrustedProxies: prefixes("10.0.0.0/8")})
	office := prefixes("::ffff:203.0.113.0/120", "2001:db8:1:2::3/128")
	in := a.In(office...)
	clear(office)
	for client, want := range map[string]bool{
		"203.0.113.7": true, "203.0.114.7": false, "2001:db8:1:2::3": true, "2001:db8:1:2::4": false, "10.0.0.3": false,
	} {
		r := &http.Request{RemoteAddr: "10.0.0.2:80", Header: http.Header{"X-Forwarded-For": {client}}}
		if in(r) != want {
			t.Errorf("%s: %v", client, !want)
		}
		if r.RemoteAddr = "192.0.2.66:1"; in(r) {
			t.Errorf("%s is believed from a stranger", client)
		}
	}
	if in(&http.Request{RemoteAddr: "@"}) {
		t.Error("nowhere is in")
	}
}

// TestUnixSocket serves over a real one, behind a proxy and not.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	behind := newAddress(t, httpmw.AddressConfig{TrustUnix: true, TrustedProxies: prefixes("10.0.0.0/8")})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		noKey(t, httpmw.ClientIP(prefixes("10.0.0.0/8")...), r, "no IP address")
		if r.Header.Get("X-Forwarded-For") == "" {
			noKey(t, behind.Key, r, "no IP address")
		} else {
			isKey(t, behind.Key, r, "203.0.113.7")
		}
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	for _, forwarded := range []string{"203.0.113.7", "198.51.100.1, 203.0.113.7, 10.0.0.1", ""} {
		r, err := http.NewRequest("GET", "http://unix/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	// Without word from the server that it is a Unix socket, it may be anything.
	if _, err := behind.Of(&http.Request{RemoteAddr: "@", Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}); !errors.Is(err, httpmw.ErrNoKey) {
		t.Errorf("got %v", err)
	}
}

func newAddress(t tester, cfg httpmw.AddressConfig) *httpmw.Address {
	t.Helper()
	a, err := httpmw.NewAddress(cfg)
	if err != nil {
		t.Fatalf("NewAddress: %v", err)
	}
	return a
}
