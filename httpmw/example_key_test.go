package httpmw_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

func ExampleNewAddress() {
	// nginx, in 10.0.0.0/16, tells of the client as RFC 7239 has it, and whole
	// sites count as one.
	client, err := httpmw.NewAddress(httpmw.AddressConfig{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Header:         "Forwarded",
		PrefixV6:       56,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := &http.Request{
		RemoteAddr: "10.0.3.4:80",
		Header:     http.Header{"Forwarded": {`for=198.51.100.1, for="[2001:db8:1:2::3]:4711";proto=https`}},
	}
	fmt.Println(client.Key(r)) // client.Key is what New is given

	_, err = httpmw.NewAddress(httpmw.AddressConfig{Header: "CF-Connecting-IP"})
	fmt.Println(err)

	// Output:
	// 2001:db8:1::/56 <nil>
	// httpmw: Header "CF-Connecting-IP" would never be believed; list the proxies in TrustedProxies, or leave it out
}

func ExampleAddress_In() {
	client, err := httpmw.NewAddress(httpmw.AddressConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	office := client.In(netip.MustParsePrefix("203.0.113.0/24"))
	fmt.Println(office(&http.Request{RemoteAddr: "203.0.113.7:4711"}), office(&http.Request{RemoteAddr: "198.51.100.1:4711"}))

	// Output: true false
}

func ExampleAddress_Of() {
	client, err := httpmw.NewAddress(httpmw.AddressConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Of(&http.Request{RemoteAddr: "[2001:db8:1:2::3]:4711"}))

	// Output: 2001:db8:1:2::3 <nil>
}

func ExampleHeader() {
	key := httpmw.Header("X-User") // which the gateway sets, and takes off what clients send
	fmt.Println(key(&http.Request{Header: http.Header{"X-User": {"alice"}}}))
	fmt.Println(key(&http.Request{}))

	// Output:
	// alice <nil>
	//  httpmw: no key: header X-User missing
}

func ExampleCookie() {
	key := httpmw.Cookie("session")
	fmt.Println(key(&http.Request{Header: http.Header{"Cookie": {"theme=dark; session=31d4d96e407aad42"}}}))

	// Output: 74add74f531606bedc14d07b97721948 <nil>
}

func ExampleBearer() {
	key := httpmw.Bearer()
	fmt.Println(key(&http.Request{Header: http.Header{"Authorization": {"Bearer mF_9.B5f-4.1JqM"}}}))

	// Output: b8e148545b13c78bc74da2f1a7275dd7 <nil>
}

func ExampleBasicUser() {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("john_doe", "EXAMPLE_PASSWORD")
	fmt.Println(httpmw.BasicUser()(r))

	// Output: john_doe <nil>
}

func ExamplePathValue() {
	key := httpmw.PathValue("tenant")
	mux := http.NewServeMux()
	mux.HandleFunc("/tenants/{tenant}/", func(_ http.ResponseWriter, r *http.Request) { fmt.Println(key(r)) }) // where New's handler goes
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/tenants/acme/users", nil))

	// Output: acme <nil>
}

func ExampleRoute() {
	key := httpmw.All(httpmw.Route(), httpmw.ClientIP()) // a bucket for each client and route
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(_ http.ResponseWriter, r *http.Request) { fmt.Println(key(r)) }) // where New's handler goes
	for _, id := range []string{"1", "2"} {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/"+id, nil))
	}

	// Output:
	// GET /users/{id}|192.0.2.1 <nil>
	// GET /users/{id}|192.0.2.1 <nil>
}

func ExampleMethod() {
	key := httpmw.All(httpmw.Method(), httpmw.Header("X-User"))
	for _, method := range []string{"GET", "HEAD", "POST", "POST2"} {
		fmt.Println(key(&http.Request{Method: method, Header: http.Header{"X-User": {"alice"}}}))
	}

	// Output:
	// GET|alice <nil>
	// GET|alice <nil>
	// POST|alice <nil>
	// other|alice <nil>
}

func ExampleContextValue() {
	type userKey struct{} // of the middleware that logs users in
	key := httpmw.ContextValue(userKey{})
	r := new(http.Request).WithContext(context.WithValue(context.Background(), userKey{}, 4711))
	fmt.Println(key(r))

	// Output: 4711 <nil>
}

func ExampleConst() {
	key := httpmw.Const("everybody")
	fmt.Println(key(&http.Request{RemoteAddr: "203.0.113.7:4711"}))

	// Output: everybody <nil>
}

func ExampleAll() {
	key := httpmw.All(httpmw.Header("X-User"), httpmw.ClientIP()) // a bucket for each user at each place
	fmt.Println(key(&http.Request{RemoteAddr: "203.0.113.7:4711", Header: http.Header{"X-User": {"alice"}}}))
	fmt.Println(key(&http.Request{RemoteAddr: "203.0.113.7:4711"}))

	// Output:
	// alice|203.0.113.7 <nil>
	//  httpmw: no key: header X-User missing
}

func ExampleFirstOf() {
	key := httpmw.FirstOf(httpmw.Header("X-User"), httpmw.ClientIP()) // who isn't logged in counts by address
	fmt.Println(key(&http.Request{RemoteAddr: "203.0.113.7:4711", Header: http.Header{"X-User": {"alice"}}}))
	fmt.Println(key(&http.Request{RemoteAddr: "203.0.113.7:4711"}))

	// Output:
	// 0:alice <nil>
	// 1:203.0.113.7 <nil>
}

func ExampleExempt() {
	key := httpmw.FirstOf(httpmw.Header("X-User"), httpmw.Exempt()) // who isn't logged in isn't limited
	_, err := key(&http.Request{})
	fmt.Println(err == httpmw.ErrExempt)

	// Output: true
}

func ExampleHashed() {
	key := httpmw.Hashed(httpmw.Header("X-Api-Key"))
	fmt.Println(key(&http.Request{Header: http.Header{"X-Api-Key": {"secret"}}}))

	// Output: 2bb80d537b1da3e38bd30361aa855686 <nil>
}
