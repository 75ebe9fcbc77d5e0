package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// order is what a replica is told on its standard input.
type order struct {
	Name   string
	Seeds  []string
	Secret []byte
	Rate   int
}

// sample is what a replica says of itself every second, one line of JSON each.
type sample struct {
	Gossip                      string // where others reach it
	Ready                       bool
	Goroutines, Files           int
	Heap                        uint64 // bytes alive after a collection
	Entries                     int
	Decisions, Degraded, Errors int64
}

// replica is one of the processes: it takes its order, and works until its input ends
// or it is told to end.
func replica(ctx context.Context, in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var o order
	if err := decoder.Decode(&o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the parent has gone
		_ = decoder.Decode(new(order))
		cancel()
	}()
	node, err := cluster.Start(ctx, cluster.Config{
		Name: o.Name, Bind: "127.0.0.1:0", Seeds: o.Seeds, Secret: o.Secret, DeniedKeys: 100,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var did tally
	wg.Go(func() { load(ctx, node, o.Rate, &did) })
	report(ctx, node, &did, json.NewEncoder(out))
	wg.Wait()
	leaving, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	if err := node.Close(leaving); err != nil {
		fmt.Fprintln(os.Stderr, o.Name, err)
	}
	return nil
}

// tally counts what became of the hits.
type tally struct{ decisions, degraded, errors atomic.Int64 }

func report(ctx context.Context, node *cluster.Node, did *tally, out *json.Encoder) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m := node.Metrics()
		runtime.GC()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		_ = out.Encode(sample{
			Gossip: node.GossipAddress(), Ready: m.Ready,
			Goroutines: runtime.NumGoroutine(), Files: openFiles(), Heap: live[0].Value.Uint64(), Entries: m.Store.Entries,
			Decisions: did.decisions.Load(), Degraded: did.degraded.Load(), Errors: did.errors.Load(),
		})
	}
}

// openFiles is the number of file descriptors of this process; 0 where that isn't told.
func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files) - 1 // but for the one that looked
}
