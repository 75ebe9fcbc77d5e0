package httpmw_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/shoal-dev/shoal/httpmw"
)

func ExampleClientIP() {
	// The load balancers are in 10.0.0.0/16, and nobody else is.
	key := httpmw.ClientIP(netip.MustParsePrefix("10.0.0.0/16"))

	for _, r := range []*http.Request{
		{RemoteAddr: "203.0.113.7:4711"},
		{RemoteAddr: "[2001:db8:1:2:aaaa:bbbb:cccc:dddd]:4711"},
		// Through a load balancer, which adds the address that it sees:
		{RemoteAddr: "10.0.3.4:80", Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}},
		// What the client itself has written is to the left of that:
		{RemoteAddr: "10.0.3.4:80", Header: http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.7"}}},
		// Past the load balancers nobody is believed:
		{RemoteAddr: "203.0.113.7:4711", Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}},
	} {
		fmt.Println(key(r))
	}

	// Output:
	// 203.0.113.7 <nil>
	// 2001:db8:1:2::/64 <nil>
	// 203.0.113.7 <nil>
	// 203.0.113.7 <nil>
	// 203.0.113.7 <nil>
}
