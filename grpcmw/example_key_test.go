package grpcmw_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/shoal-dev/shoal/grpcmw"
)

func ExamplePeerIP() {
	// The load balancers are in 10.0.0.0/16, and nobody else is.
	key := grpcmw.PeerIP(netip.MustParsePrefix("10.0.0.0/16"))
	client, balancer := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7)}, &net.TCPAddr{IP: net.IPv4(10, 0, 3, 4)}
	for _, ctx := range []context.Context{
		from(client),
		from(&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:aaaa:bbbb:cccc:dddd")}),
		// Through a load balancer, which adds the address that it sees:
		from(balancer, "x-forwarded-for", "203.0.113.7"),
		// What the client itself has written is to the left of that:
		from(balancer, "x-forwarded-for", "198.51.100.1, 203.0.113.7"),
		// Past the load balancers nobody is believed:
		from(client, "x-forwarded-for", "198.51.100.1"),
	} {
		fmt.Println(key(ctx, "/shop.Orders/List", nil))
	}

	// Output:
	// 203.0.113.7 <nil>
	// 2001:db8:1:2::/64 <nil>
	// 203.0.113.7 <nil>
	// 203.0.113.7 <nil>
	// 203.0.113.7 <nil>
}

func ExampleMetadata() {
	key := grpcmw.Metadata("x-api-key")
	fmt.Println(key(from(nil, "x-api-key", "k1"), "/shop.Orders/List", nil))
	fmt.Println(key(from(nil), "/shop.Orders/List", nil))
	fmt.Println(key(from(nil, "x-api-key", "k1", "x-api-key", "k2"), "/shop.Orders/List", nil))

	// Output:
	// k1 <nil>
	//  grpcmw: metadata missing, empty or given more than once: x-api-key
	//  grpcmw: metadata missing, empty or given more than once: x-api-key
}

func ExampleMethod() {
	fmt.Println(grpcmw.Method(context.Background(), "/shop.Orders/List", nil))

	// Output: /shop.Orders/List <nil>
}

func ExampleJoin() {
	// Each user may call each method so often.
	key := grpcmw.Join(grpcmw.Metadata("x-user"), grpcmw.Method)
	fmt.Println(key(from(nil, "x-user", "ann"), "/shop.Orders/List", nil))

	// Output: 3:ann17:/shop.Orders/List <nil>
}
