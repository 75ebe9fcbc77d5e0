package cluster_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// A service that limits each client to one request a minute, together with all
// its other replicas.
func Example() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{
		Bind:  "127.0.0.1:0",                   // where replicas gossip
		Seeds: []string{"shoal.internal:7946"}, // where to find some of them
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	rule := bucket.MustRule("hello", "1/minute")
	limit, err := httpmw.New(node, rule, httpmw.ClientIP())
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello, World!")
	})
	mux := http.NewServeMux()
	mux.Handle("/", limit(hello))

	server := httptest.NewServer(mux)
	defer server.Close()
	for range 2 {
		response, err := http.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Println(response.Status)
	}
	// Output:
	// 200 OK
	// 429 Too Many Requests
}
