package otel_test

import (
	"context"
	"log"
	"net/http"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/contrib/otel"
	"github.com/shoal-dev/shoal/httpmw"
)

func Example() {
	node, err := cluster.Start(context.Background(), cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	provider := noop.NewMeterProvider() // yours
	registration, err := otel.Register(provider, node)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = registration.Unregister() }()

	// Decisions are on the span of each request, which some other middleware has begun.
	limit, err := httpmw.New(otel.Trace(node), bucket.MustRule("api", "100/second"), httpmw.ClientIP())
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/", limit(http.NotFoundHandler()))
}
