package httpmw_test

import (
	"net/http"
	"testing"

	"github.com/shoal-dev/shoal/httpmw"
)

// aKey is a key function, a request and how often the key may allocate: once for
// its text, and for what net/http itself needs.
type aKey struct {
	name    string
	key     httpmw.KeyFunc
	request *http.Request
	allocs  float64
}

func keys(t tester) []aKey {
	ten := prefixes("10.0.0.0/8", "fd00::/8")
	named := func(header string) httpmw.KeyFunc {
		return newAddress(t, httpmw.AddressConfig{TrustedProxies: ten, Header: header}).Key
	}
	from := func(peer string) *http.Request {
		return &http.Request{RemoteAddr: peer, Method: "GET", Header: http.Header{
			"X-Forwarded-For": {"198.51.100.1, 203.0.113.7, 10.0.0.1"},
			"Forwarded":       {`for=198.51.100.1, for="203.0.113.7:4711";proto=https, for=10.0.0.1`},
			"X-Real-Ip":       {"203.0.113.7"},
			"X-User":          {"alice"},
			"Authorization":   {"Bearer mF_9.B5f-4.1JqM"},
			"Cookie":          {"session=31d4d96e407aad42"},
		}}
	}
	v4, v6, proxied := from("203.0.113.7:4711"), from("[2001:db8:1:2::3]:4711"), from("10.0.0.2:80")
	return []aKey{
		{"address", httpmw.ClientIP(), v4, 1},
		{"address, IPv6", httpmw.ClientIP(), v6, 1},
		{"X-Forwarded-For", httpmw.ClientIP(ten...), proxied, 1},
		{"Forwarded", named("Forwarded"), proxied, 1},
		{"X-Real-IP", named("X-Real-IP"), proxied, 1},
		{"past the proxies", httpmw.ClientIP(ten...), v4, 1},
		{"header", httpmw.Header("X-User"), v4, 0},
		{"no header", httpmw.Header("X-Absent"), v4, 0},
		{"cookie", httpmw.Cookie("session"), v4, 3},
		{"bearer", httpmw.Bearer(), v4, 1},
		{"method", httpmw.Method(), v4, 0},
		{"all", httpmw.All(httpmw.Method(), httpmw.ClientIP()), v4, 2},
		{"first of", httpmw.FirstOf(httpmw.Header("X-Absent"), httpmw.ClientIP()), v4, 2},
	}
}

func TestKeyAllocs(t *testing.T) {
	for _, k := range keys(t) {
		if got := testing.AllocsPerRun(100, func() { _, _ = k.key(k.request) }); got > k.allocs {
			t.Errorf("%s: %v allocations, want at most %v", k.name, got, k.allocs)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	for _, k := range keys(b) {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = k.key(k.request)
			}
		})
	}
}
