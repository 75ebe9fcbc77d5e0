package httpmw_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/httpmw"
)

func TestForwarded(t *testing.T) {
	const proxy = "10.0.0.2" // whose word can't be read
	key := newAddress(t, httpmw.AddressConfig{TrustedProxies: prefixes("10.0.0.0/8", "fd00::/8"), Header: "forwarded"}).Key
	for _, c := range []struct {
		forwarded []string
		want      string
	}{
		{nil, proxy},
		{lines("for=203.0.113.7"), "203.0.113.7"},
		{lines("FOR=203.0.113.7"), "203.0.113.7"},
		{lines(" \tfor=203.0.113.7 \t"), "203.0.113.7"},
		{lines(`for="203.0.113.7"`), "203.0.113.7"},
		{lines(`for="203.0.113.7:80"`), "203.0.113.7"},
		{lines("for=203.0.113.7:80"), "203.0.113.7"}, // should be quoted
		{lines(`for="203.0.113.7:_p-o.r_t"`), "203.0.113.7"},
		{lines(`for="[2001:db8:1:2::3]"`), "2001:db8:1:2::/64"},
		{lines(`for="[2001:db8:1:2::3]:80"`), "2001:db8:1:2::/64"},
		{lines(`for="[2001:db8:1:2::3]:_x"`), "2001:db8:1:2::/64"},
		{lines(`for=[2001:db8:1:2::3]`), "2001:db8:1:2::/64"},    // should be quoted
		{lines(`for="2001:db8:1:2::3"`), "2001:db8:1:2::/64"},    // should have brackets
		{lines(`for="[::ffff:203.0.113.7]"`), "203.0.113.7"},     // mapped
		{lines(`for="20\3.0.1\13.\7"`), "203.0.113.7"},           // quoted pairs
		{lines(`for="203.0.113.7";host="a,b;c"`), "203.0.113.7"}, // marks in a quoted string
		{lines(`host="a\",for=10.0.0.9;\\";for=203.0.113.7`), "203.0.113.7"},
		{lines(`host="\\";for=203.0.113.7;by="\"\\\""`), "203.0.113.7"},
		{lines(";;for=203.0.113.7; ;"), "203.0.113.7"},
		{lines("proto=https ; for=203.0.113.7 ; by=_x"), "203.0.113.7"},

		{lines("for=203.0.113.7, for=10.0.0.1"), "203.0.113.7"},
		{lines(`for=203.0.113.7,for="[fd00::1]:80"`), "203.0.113.7"},
		{lines("for=203.0.113.7", "for=10.0.0.1"), "203.0.113.7"},
		{lines("for=198.51.100.1,for=203.0.113.7", "for=10.0.0.3, for=10.0.0.1"), "203.0.113.7"},
		{lines("for=10.1.1.1, for=10.0.0.1"), "10.1.1.1"},

		{lines(`for="x, for=203.0.113.7`), "203.0.113.7"}, // what the client has left open
		{lines(`for="x\, for=203.0.113.7`), "203.0.113.7"},
		{lines(`for="x`, "for=203.0.113.7"), "203.0.113.7"},
		{lines(`x", for=203.0.113.7;by="y"`), "203.0.113.7"},

		{lines(""), proxy},
		{lines(","), proxy},
		{lines("203.0.113.7"), proxy},
		{lines("for"), proxy},
		{lines("for="), proxy},
		{lines(`for=""`), proxy},
		{lines("for = 203.0.113.7"), proxy},
		{lines("by=203.0.113.7"), proxy},
		{lines("xfor=203.0.113.7"), proxy},
		{lines("for=unknown"), proxy},
		{lines(`for="unknown:80"`), proxy},
		{lines("for=_hidden"), proxy},
		{lines("for=localhost"), proxy},
		{lines("for=203.0.113.7;for=203.0.113.7"), proxy},
		{lines("for=203.0.113.7;for="), proxy},
		{lines(`for="203.0.113.7`), proxy},
		{lines(`for=203.0.113.7"`), proxy},
		{lines(`for="203.0.113.7\"`), proxy},
		{lines(`for="203.0."113.7"`), proxy},
		{lines(`for="203.0""113.7"`), proxy},
		{lines(`for="`), proxy},
		{lines(`for="203.0.113.7:"`), proxy},
		{lines(`for="203.0.113.7:_"`), proxy},
		{lines(`for="203.0.113.7:-1"`), proxy},
		{lines(`for="203.0.113.7:+80"`), proxy},
		{lines(`for="203.0.113.7:65536"`), proxy},
		{lines(`for="[203.0.113.7]"`), proxy},
		{lines(`for="[2001:db8::1"`), proxy},
		{lines(`for="[2001:db8::1]80"`), proxy},
		{lines(`for="[2001:db8::1]:"`), proxy},
		{lines(`for="[]"`), proxy},
		{lines("for=203.0.113.7 for=203.0.113.8"), proxy},
		{lines(`for="` + strings.Repeat(`\1`, 1000) + `"`), proxy},
		{lines("for=203.0.113.7, for=unknown, for=10.0.0.1"), "10.0.0.1"},
		{lines("for=203.0.113.7, , for=10.0.0.1"), "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: proxy + ":80", Header: http.Header{"Forwarded": c.forwarded, "X-Forwarded-For": {"198.51.100.99"}}}
		if got, err := key(r); got != c.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", c.forwarded, got, err, c.want)
		}
	}
}

// checkForwarded holds all kinds of headers to what they promise about a connection
// from peer with text in them, and Forwarded, if a proxy has appended real, about
// that.
func checkForwarded(t tester, peer, real netip.Addr, text string) {
	t.Helper()
	ask := func(header string, values ...string) string {
		a := newAddress(t, httpmw.AddressConfig{TrustedProxies: believed(), Header: header})
		r := &http.Request{RemoteAddr: netip.AddrPortFrom(peer, 4711).String(), Header: http.Header{http.CanonicalHeaderKey(header): values}}
		got, err := a.Key(r)
		if err != nil {
			t.Fatalf("%s: %s %q: %v", r.RemoteAddr, header, values, err)
		}
		return got
	}
	if !isBelieved(peer) {
		for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"} {
			for _, values := range [][]string{{text}, {text, text}, {"for=" + text}, {`for="` + text + `"`}} {
				if got := ask(header, values...); got != keyOf(peer) {
					t.Fatalf("%s: %s %q: got %q, want %q", peer, header, values, got, keyOf(peer))
				}
			}
		}
		return
	}
	ask("Forwarded", text)
	if got := ask("X-Real-IP", real.String()); got != keyOf(real) {
		t.Fatalf("%s: X-Real-IP %s: got %q, want %q", peer, real, got, keyOf(real))
	}
	if got := ask("X-Real-IP", text, real.String()); got != keyOf(peer) {
		t.Fatalf("%s: X-Real-IP %q, %s: got %q, want %q", peer, text, real, got, keyOf(peer))
	}
	if isBelieved(real) {
		return
	}
	node := real.String()
	if real.Is6() {
		node = "[" + node + "]"
	}
	proxies := `for=10.1.2.3;host="a,\"b", For="[fd00::1]:80",by="\\";for="192.0.2.1:_x"`
	for _, s := range []string{`for="` + node + `"`, `for="` + node + `:80"`, `host="x,\"";for="` + node + `:_x"`, "by=_x;FOR=" + node + ";proto=http"} {
		for _, values := range [][]string{{text + ", " + s}, {text + "," + s}, {text, s}, {text + ", " + s + ", " + proxies}, {text, s, proxies}} {
			if got := ask("Forwarded", values...); got != keyOf(real) {
				t.Fatalf("%s: Forwarded %q: got %q, want %q", peer, values, got, keyOf(real))
			}
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, text := range []string{
		"", "for=203.0.113.7", `for="203.0.113.7:80", for=10.0.0.1`, `for="[fd00::1]:_x";by=_y`, "for=unknown", `for="`, `"`, `\"`, `"\`, `a="\\\"`, ",;", `";,"`,
		`for="\1\0.0.0.1"`, "for=10.0.0.1;for=10.0.0.1", "203.0.113.7", "[::1]:80", "é=\x00",
	} {
		for _, peer := range []string{"203.0.113.7", "2001:db8::1", "10.0.0.1", "fd00::1", "::ffff:192.0.2.1"} {
			f.Add(netip.MustParseAddr(peer).AsSlice(), netip.MustParseAddr("198.51.100.77").AsSlice(), text)
			f.Add(netip.MustParseAddr(peer).AsSlice(), netip.MustParseAddr("2001:db8:1:2:3:4:5:6").AsSlice(), text)
		}
	}
	f.Fuzz(func(t *testing.T, peer, real []byte, text string) {
		p, ok1 := netip.AddrFromSlice(peer)
		c, ok2 := netip.AddrFromSlice(real)
		if ok1 && ok2 {
			checkForwarded(t, p, c, text)
		}
	})
}

// TestForwardedChains draws headers that are closer to real ones than a fuzzer's.
func TestForwardedChains(t *testing.T) {
	piece := rapid.SampledFrom([]string{"for=", "for", "by=_x", "10.0.0.1", "203.0.113.7", "[fd00::1]", `"`, `\`, ",", ";", " ", "unknown", "_x", ":80"})
	address := rapid.SampledFrom([]string{"10.0.0.1", "203.0.113.7", "2001:db8:1:2::3", "fd00::1", "::ffff:203.0.113.7", "::ffff:10.0.0.1"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		peer, real := address.Draw(t, "peer"), address.Draw(t, "real")
		checkForwarded(t, netip.MustParseAddr(peer), netip.MustParseAddr(real), text)
	})
}
