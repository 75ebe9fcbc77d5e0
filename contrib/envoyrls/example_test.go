package envoyrls_test

import (
	"context"
	"fmt"
	"log"
	"net"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/envoyrls"
	"github.com/shoal-dev/shoal/contrib/rules"
)

// A rate limit service for Envoy, with its rules in a file that is watched. In
// earnest give the node a Bind, Seeds and a Secret, and run as many as you like.
func Example() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	file, err := rules.Open("testdata/rules.yaml", rules.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	service, err := envoyrls.New(node, envoyrls.Rules(file.Set), envoyrls.Options{})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	envoyrls.Register(server, service)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // where Envoy's cluster points, as :8081
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()

	// What Envoy does:
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, address := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "50.0.0.5"} {
		response, err := rls.NewRateLimitServiceClient(conn).ShouldRateLimit(ctx, &rls.RateLimitRequest{
			Domain: "edge",
			Descriptors: []*common.RateLimitDescriptor{{
				Entries: []*common.RateLimitDescriptor_Entry{{Key: "remote_address", Value: address}},
			}},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(address, response.OverallCode, response.Statuses[0].LimitRemaining)
	}
	// Output:
	// 10.0.0.1 OK 1
	// 10.0.0.1 OK 0
	// 10.0.0.1 OVER_LIMIT 0
	// 10.0.0.2 OK 1
	// 50.0.0.5 OVER_LIMIT 0
}

// The configuration of envoyproxy/ratelimit is read as it is, and can be loaded again
// while the service answers, as at SIGHUP.
func ExampleLoadConfig() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	config, err := envoyrls.LoadConfig("testdata/example.yaml")
	if err != nil {
		log.Fatal(err)
	}
	for rule := range config.All() {
		fmt.Println(rule)
	}
	service, err := envoyrls.New(node, config, envoyrls.Options{Headers: envoyrls.RateLimitHeaders})
	if err != nil {
		log.Fatal(err)
	}

	again, err := envoyrls.ParseConfig("new.yaml", []byte(`
domain: edge
descriptors:
  - key: remote_address
    rate_limit: {unit: fortnight, requests_per_unit: 5}
`))
	if err != nil {
		fmt.Println(err) // and go on with the configuration from before
	} else {
		service.Use(again)
	}
	// Output:
	// edge/remote_address: 2 per 1 minute fixed aligned
	// "edge/remote_address=50.0.0.5": 0 per 1 minute fixed aligned
	// new.yaml:5:24: descriptors[1].rate_limit.unit: "fortnight" is none; choose second, minute, hour, day, week, month or year
}
