package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// A replica that ends is no longer ready, but serves until those in front of it have
// had the time to notice.
func TestLinger(t *testing.T) {
	t.Parallel()
	r, err := startReplica(t.Context(), replicaConfig{
		http:    "127.0.0.1:0",
		cluster: cluster.Config{Name: "alone"},
		client:  httpmw.ClientIP(),
		linger:  maxLinger,
		log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, url := newClient(t, ""), "http://"+r.server.address()
	want(t, c.get(url+"/readyz"), 200)
	ctx, enough := context.WithCancel(t.Context())
	closed := make(chan error)
	go func() { closed <- r.close(ctx) }()
	eventually(t, "it is no longer ready", func() bool { return c.get(url+"/readyz").status == 503 })
	want(t, c.get(url+"/healthz"), 200)
	want(t, c.get(url+"/try?limit=1/hour"), 200)
	want(t, c.get(url+"/try?limit=1/hour"), 429)
	enough()
	// Of the last request's connection the server may not yet know that it is idle.
	if err := <-closed; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A replica on its own, as the help of -bind has it.
func TestReplicaAlone(t *testing.T) {
	if _, err := parseReplica([]string{"-bind="}, io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}
