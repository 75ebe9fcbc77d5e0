package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// A service that limits each client to one request a minute, together with all
// its other replicas.
func Example() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{
		Bind:  "127.0.0.1:0",                      // where replicas gossip
		Seeds: strings.Fields(os.Getenv("SEEDS")), // where to find some of them; none yet: a cluster of one
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

// A service that opens its port once its replica is ready.
func ExampleNode_WaitReady() {
	node, err := cluster.Start(context.Background(), cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(node.WaitReady(ctx))
	// Output: <nil>
}

// serve answers on addr until ctx is done, say by a signal.NotifyContext of SIGTERM,
// and then leaves without losing what was counted.
func serve(ctx context.Context, addr string, node *cluster.Node, handler http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !node.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: addr, Handler: mux}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(within), node.Close(within))
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// A service that leaves its cluster when it is told to stop.
func Example_leave() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	time.AfterFunc(0, stop) // as SIGTERM does
	fmt.Println(serve(ctx, "127.0.0.1:0", node, http.NotFoundHandler()))
	// Output: <nil>
}
