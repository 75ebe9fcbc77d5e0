package otel_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/otel"
	"github.com/shoal-dev/shoal/httpmw"
)

func Example() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)
	meterProvider := noop.NewMeterProvider() // in earnest that of the SDK
	rule, key := bucket.MustRule("hello", "1/minute"), httpmw.ClientIP()

	registration, err := otel.Register(meterProvider, node)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()
	limit, err := httpmw.New(otel.Trace(node), rule, key)
	if err != nil {
		log.Fatal(err)
	}

	hello := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 2 {
		w := httptest.NewRecorder()
		hello.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 429
}
