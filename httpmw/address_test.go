package httpmw_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/httpmw"
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

func lines(values ...string) []string { return values }

func TestClientIP(t *testing.T) {
	var (
		none       []netip.Prefix
		nginx      = prefixes("127.0.0.1/32", "::1/128") // on the same host
		ten        = prefixes("10.0.0.0/8")
		alb        = prefixes("10.0.0.0/16", "fd00:ec2::/56")
		cloudflare = prefixes("10.0.0.0/16", "173.245.48.0/20", "2400:cb00::/32") // and an ALB behind it
	)
	for _, c := range []struct {
		name      string
		trusted   []netip.Prefix
		peer      string
		forwarded []string
		want      string
	}{
		{"IPv4", none, "203.0.113.7:4711", nil, "203.0.113.7"},
		{"IPv6", none, "[2001:db8:1:2:3:4:5:6]:4711", nil, "2001:db8:1:2::/64"},
		{"IPv6, another host of the same customer", none, "[2001:db8:1:2:ffff::]:4711", nil, "2001:db8:1:2::/64"},
		{"IPv6, the next customer", none, "[2001:db8:1:3::]:4711", nil, "2001:db8:1:3::/64"},
		{"a zone", none, "[fe80::1%eth0]:4711", nil, "fe80::/64"},
		{"a mapped address", none, "[::ffff:203.0.113.7]:4711", nil, "203.0.113.7"},
		{"a mapped address, in hexadecimal", none, "[::ffff:cb00:7107]:4711", nil, "203.0.113.7"},
		{"loopback", none, "[::1]:4711", nil, "::/64"},
		{"no proxies, so no header", none, "203.0.113.7:4711", lines("198.51.100.1"), "203.0.113.7"},

		{"nginx", nginx, "127.0.0.1:50000", lines("203.0.113.7"), "203.0.113.7"},
		{"nginx, IPv6", nginx, "[::1]:50000", lines("2001:db8:1:2:3::4"), "2001:db8:1:2::/64"},
		{"nginx, forged", nginx, "127.0.0.1:50000", lines("198.51.100.1, 203.0.113.7"), "203.0.113.7"},
		{"nginx, forged its own", nginx, "127.0.0.1:50000", lines("127.0.0.1, 203.0.113.7"), "203.0.113.7"},
		{"nginx, forged at length", nginx, "127.0.0.1:50000", lines(strings.Repeat("127.0.0.1,", 1000) + "203.0.113.7"), "203.0.113.7"},
		{"nginx without the header", nginx, "127.0.0.1:50000", nil, "127.0.0.1"},
		{"past nginx", nginx, "203.0.113.9:4711", lines("127.0.0.1, 203.0.113.7"), "203.0.113.9"},

		{"two proxies", ten, "10.0.0.2:80", lines("203.0.113.7, 10.0.0.1"), "203.0.113.7"},
		{"two proxies, forged", ten, "10.0.0.2:80", lines("198.51.100.1, 203.0.113.7, 10.0.0.1"), "203.0.113.7"},
		{"two proxies, forged proxies", ten, "10.0.0.2:80", lines("198.51.100.1, 10.0.0.9, 203.0.113.7, 10.0.0.1"), "203.0.113.7"},
		{"two proxies and a stranger's", ten, "10.0.0.2:80", lines("198.51.100.1, 192.0.2.9, 10.0.0.1"), "192.0.2.9"},
		{"all trusted", ten, "10.0.0.2:80", lines("10.1.1.1, 10.0.0.1"), "10.1.1.1"},

		{"ALB", alb, "10.0.7.9:33210", lines("203.0.113.7"), "203.0.113.7"},
		{"ALB that keeps ports", alb, "10.0.7.9:33210", lines("203.0.113.7:51515"), "203.0.113.7"},
		{"ALB, IPv6", alb, "[fd00:ec2::9]:33210", lines("2001:db8:aa:bb::1"), "2001:db8:aa:bb::/64"},
		{"ALB that keeps ports, IPv6", alb, "10.0.7.9:33210", lines("[2001:db8:aa:bb::1]:51515"), "2001:db8:aa:bb::/64"},
		{"ALB, forged with ports", alb, "10.0.7.9:33210", lines("10.0.0.1:1, 203.0.113.7:51515"), "203.0.113.7"},

		{"Cloudflare, ALB", cloudflare, "10.0.7.9:33210", lines("203.0.113.7, 173.245.48.10"), "203.0.113.7"},
		{"Cloudflare's IPv6, ALB", cloudflare, "10.0.7.9:33210", lines("203.0.113.7, 2400:cb00:1::5"), "203.0.113.7"},
		{"Cloudflare, ALB, forged", cloudflare, "10.0.7.9:33210", lines("198.51.100.1, 203.0.113.7, 173.245.48.10"), "203.0.113.7"},
		{"round Cloudflare, forged", cloudflare, "10.0.7.9:33210", lines("198.51.100.1, 173.245.48.10, 203.0.113.66"), "203.0.113.66"},

		{"a line for each proxy", ten, "10.0.0.2:80", lines("203.0.113.7", "10.0.0.1"), "203.0.113.7"},
		{"a line for each, forged", ten, "10.0.0.2:80", lines("198.51.100.1", "203.0.113.7", "10.0.0.1"), "203.0.113.7"},
		{"lines and commas", ten, "10.0.0.2:80", lines("198.51.100.1, 203.0.113.7,10.0.0.3", "10.0.0.4 ,10.0.0.1"), "203.0.113.7"},
		{"an empty line of the client's", ten, "10.0.0.2:80", lines("", "203.0.113.7"), "203.0.113.7"},
		{"an empty line at the end", ten, "10.0.0.2:80", lines("203.0.113.7", ""), "10.0.0.2"},
		{"an empty line between", ten, "10.0.0.2:80", lines("203.0.113.7", "", "10.0.0.1"), "10.0.0.1"},

		{"no spaces", ten, "10.0.0.2:80", lines("198.51.100.1,203.0.113.7,10.0.0.1"), "203.0.113.7"},
		{"many spaces", ten, "10.0.0.2:80", lines("\t 198.51.100.1\t , \t203.0.113.7  ,\t10.0.0.1 \t"), "203.0.113.7"},
		{"spaces alone", ten, "10.0.0.2:80", lines(" \t "), "10.0.0.2"},
		{"empty element last", ten, "10.0.0.2:80", lines("203.0.113.7,"), "10.0.0.2"},
		{"empty element between", ten, "10.0.0.2:80", lines("203.0.113.7,,10.0.0.1"), "10.0.0.1"},
		{"empty element first", ten, "10.0.0.2:80", lines(", 203.0.113.7"), "203.0.113.7"},
		{"empty element first, all trusted", ten, "10.0.0.2:80", lines(", 10.0.0.1"), "10.0.0.1"},
		{"nothing but commas", ten, "10.0.0.2:80", lines(",,,"), "10.0.0.2"},

		{"unknown", ten, "10.0.0.2:80", lines("203.0.113.7, unknown"), "10.0.0.2"},
		{"unknown further out", ten, "10.0.0.2:80", lines("203.0.113.7, unknown, 10.0.0.1"), "10.0.0.1"},
		{"garbage left of the client", ten, "10.0.0.2:80", lines("<script>, 203.0.113.7"), "203.0.113.7"},
		{"obfuscated", ten, "10.0.0.2:80", lines("_hidden"), "10.0.0.2"},
		{"a name", ten, "10.0.0.2:80", lines("localhost"), "10.0.0.2"},
		{"nginx behind a unix socket", ten, "10.0.0.2:80", lines("203.0.113.7, unix:"), "10.0.0.2"},
		{"octal", ten, "10.0.0.2:80", lines("0203.0.113.7"), "10.0.0.2"},
		{"short", ten, "10.0.0.2:80", lines("203.7"), "10.0.0.2"},
		{"a prefix", ten, "10.0.0.2:80", lines("203.0.113.0/24"), "10.0.0.2"},
		{"a named port", ten, "10.0.0.2:80", lines("203.0.113.7:http"), "10.0.0.2"},
		{"a port too large", ten, "10.0.0.2:80", lines("203.0.113.7:65536"), "10.0.0.2"},
		{"RFC 7239's form", ten, "10.0.0.2:80", lines(`for="203.0.113.7"`), "10.0.0.2"},
		{"separated by semicolons", ten, "10.0.0.2:80", lines("203.0.113.7; 10.0.0.1"), "10.0.0.2"},
		{"control characters", ten, "10.0.0.2:80", lines("203.0.113.7\x00"), "10.0.0.2"},

		{"brackets", ten, "10.0.0.2:80", lines("[2001:db8:1:2::3]"), "2001:db8:1:2::/64"},
		{"a hop with a zone", ten, "10.0.0.2:80", lines("fe80::1%eth0"), "fe80::/64"},
		{"a hop with zone and port", ten, "10.0.0.2:80", lines("[fe80::1%eth0]:80"), "fe80::/64"},
		{"a mapped hop", ten, "10.0.0.2:80", lines("::ffff:203.0.113.7"), "203.0.113.7"},
		{"a mapped hop with a port", ten, "10.0.0.2:80", lines("[::ffff:203.0.113.7]:80"), "203.0.113.7"},
		{"a mapped proxy", ten, "[::ffff:10.0.0.2]:80", lines("203.0.113.7, ::ffff:10.0.0.1"), "203.0.113.7"},
		{"a proxy with a zone", prefixes("fe80::/10"), "[fe80::2%eth0]:80", lines("203.0.113.7, fe80::1%eth1"), "203.0.113.7"},
		{"a mapped prefix", prefixes("::ffff:10.0.0.0/104"), "10.255.0.2:80", lines("203.0.113.7, 10.0.0.1"), "203.0.113.7"},
		{"a mapped prefix does not grow", prefixes("::ffff:10.0.0.0/104"), "11.0.0.2:80", lines("203.0.113.7"), "11.0.0.2"},
		{"a prefix of more than the mapped addresses", prefixes("::/0"), "10.0.0.2:80", lines("203.0.113.7"), "10.0.0.2"},
		{"a prefix of more than the mapped addresses, IPv6", prefixes("::ffff:0:0/80"), "[::1]:80", lines("203.0.113.7"), "203.0.113.7"},
		{"a prefix with the host's bits", prefixes("10.9.9.9/8"), "10.0.0.2:80", lines("203.0.113.7"), "203.0.113.7"},
		{"no prefix at all", []netip.Prefix{{}}, "10.0.0.2:80", lines("203.0.113.7"), "10.0.0.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
			if got, err := httpmw.ClientIP(c.trusted...)(r); got != c.want || err != nil {
				t.Errorf("%s %q: got %q, %v, want %q", c.peer, c.forwarded, got, err, c.want)
			}
		})
	}
}

func TestClientIPOfNoAddress(t *testing.T) {
	for _, peer := range []string{"", "@", "/run/app.sock", "localhost:80", "pipe", ":80", "203.0.113.7:"} {
		for _, trusted := range [][]netip.Prefix{nil, prefixes("0.0.0.0/0", "::/0")} {
			r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}
			if key, err := httpmw.ClientIP(trusted...)(r); key != "" || err == nil {
				t.Errorf("%q: got %q, %v", peer, key, err)
			}
		}
	}
}

// TestClientIPKeepsItsPrefixes: what the caller does with the slice is nothing
// to ClientIP.
func TestClientIPKeepsItsPrefixes(t *testing.T) {
	trusted := prefixes("::ffff:10.0.0.0/104")
	key := httpmw.ClientIP(trusted...)
	if trusted[0] != netip.MustParsePrefix("::ffff:10.0.0.0/104") {
		t.Errorf("ClientIP has written %v into its argument", trusted[0])
	}
	trusted[0] = netip.MustParsePrefix("0.0.0.0/0")
	r := &http.Request{RemoteAddr: "203.0.113.7:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}}
	if got, err := key(r); got != "203.0.113.7" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// believed are the proxies of the properties below.
func believed() []netip.Prefix { return prefixes("10.0.0.0/8", "fd00::/8", "192.0.2.1/32") }

func isBelieved(a netip.Addr) bool {
	for _, p := range believed() {
		if p.Contains(a.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// keyOf is the key of an address, by its bytes.
func keyOf(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return netip.AddrFrom4(a.As4()).String()
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b).String() + "/64"
}

// checkChain holds ClientIP to what it promises about a connection from peer
// with text in its headers, and, if a proxy has appended real, about that.
func checkChain(t tester, peer, real netip.Addr, text string) {
	t.Helper()
	key := httpmw.ClientIP(believed()...)
	r := &http.Request{RemoteAddr: netip.AddrPortFrom(peer, 4711).String(), Header: http.Header{}}
	ask := func(forwarded ...string) string {
		r.Header["X-Forwarded-For"] = forwarded
		got, err := key(r)
		if err != nil {
			t.Fatalf("%s %q: %v", r.RemoteAddr, forwarded, err)
		}
		return got
	}
	for _, name := range []string{"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Forwarded"} {
		r.Header[name] = []string{text}
	}
	if got := ask(); got != keyOf(peer) {
		t.Fatalf("%s without a header: got %q, want %q", r.RemoteAddr, got, keyOf(peer))
	}
	free := ask(text, text+","+text)
	if _, err := netip.ParseAddr(free); err != nil {
		if p, err := netip.ParsePrefix(free); err != nil || p.Bits() != 64 || p != p.Masked() {
			t.Fatalf("%s %q: the key is %q", r.RemoteAddr, text, free)
		}
	}
	if !isBelieved(peer) {
		if free != keyOf(peer) {
			t.Fatalf("%s %q: got %q, want %q", r.RemoteAddr, text, free, keyOf(peer))
		}
		return
	}
	if isBelieved(real) {
		return
	}
	spellings := []string{real.String(), netip.AddrPortFrom(real, 4711).String()}
	if real.Is6() {
		spellings = append(spellings, "["+real.String()+"]")
	}
	proxies := "10.1.2.3, fd00::1,192.0.2.1:80"
	for _, s := range spellings {
		for _, forwarded := range [][]string{{text + ", " + s}, {text + "," + s}, {text, s}, {text + ", " + s + ", " + proxies}, {text, s, proxies}} {
			if got := ask(forwarded...); got != keyOf(real) {
				t.Fatalf("%s %q: got %q, want %q", r.RemoteAddr, forwarded, got, keyOf(real))
			}
		}
	}
}

func FuzzClientIP(f *testing.F) {
	for _, text := range []string{
		"", "203.0.113.7", "198.51.100.1, 203.0.113.7", "10.0.0.1, 10.0.0.2", "fd00::1, fd00::2", "unknown", ",", ", ,", "[::1]:80", "[", "]", "[]", "%",
		"fe80::1%eth0", "::ffff:10.0.0.1", "[::ffff:10.0.0.1%x]:1", "192.0.2.1:80", " \t", "\x00", "é", strings.Repeat("10.0.0.1,", 50),
	} {
		for _, peer := range []string{"203.0.113.7", "2001:db8::1", "10.0.0.1", "fd00::1", "::ffff:192.0.2.1", "192.0.2.2"} {
			f.Add(netip.MustParseAddr(peer).AsSlice(), netip.MustParseAddr("198.51.100.77").AsSlice(), text)
			f.Add(netip.MustParseAddr(peer).AsSlice(), netip.MustParseAddr("2001:db8:1:2:3:4:5:6").AsSlice(), text)
		}
	}
	f.Fuzz(func(t *testing.T, peer, real []byte, text string) {
		p, ok1 := netip.AddrFromSlice(peer)
		c, ok2 := netip.AddrFromSlice(real)
		if ok1 && ok2 {
			checkChain(t, p, c, text)
		}
		if key, err := httpmw.ClientIP(believed()...)(&http.Request{RemoteAddr: text}); (key == "") != (err != nil) {
			t.Fatalf("RemoteAddr %q: %q, %v", text, key, err)
		}
	})
}

// TestChains draws chains that are closer to real ones than a fuzzer's.
func TestChains(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
		v4 := netip.AddrFrom4([4]byte(b))
		return rapid.SampledFrom([]netip.Addr{
			v4, netip.AddrFrom16(v4.As16()), netip.AddrFrom16([16]byte(b)), netip.AddrFrom16([16]byte(b)).WithZone("eth0"),
			netip.AddrFrom4([4]byte{10, b[0], b[1], b[2]}), netip.AddrFrom16([16]byte{0xfd, b[0], 15: b[1]}),
			netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		}).Draw(t, "address")
	})
	element := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string { return address.Draw(t, "hop").String() }),
		rapid.Custom(func(t *rapid.T) string { return netip.AddrPortFrom(address.Draw(t, "hop"), 80).String() }),
		rapid.SampledFrom([]string{"", "unknown", "_x", "[", "]", ":", "::", "%", "1.2.3", `"`, "10.0.0.1]"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfN(element, 0, 6).Draw(t, "elements")
		separator := rapid.SampledFrom([]string{",", ", ", " , ", ",\t", ";"}).Draw(t, "separator")
		checkChain(t, address.Draw(t, "peer"), address.Draw(t, "real"), strings.Join(elements, separator))
	})
}
