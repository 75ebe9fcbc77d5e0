package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/rpc"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

const (
	replicaArg = "replica"

	// A token of these comes back in six minutes and in an hour.
	liveLimit, emptyLimit = "10/hour", "1/hour"
	liveCost              = 5 // leaves the bucket half empty

	fillers = 64 // how many hits of a fill are under way
)

// Replica is what the parent may ask of a replica's process, by net/rpc.
type Replica struct {
	node   *cluster.Node
	memory *watch
	load   *load
}

// Opening says how to start a node.
type Opening struct {
	Name  string
	Seeds []string
}

// Filling says which keys to hit: From, From+Step and so on below Keys, and likewise
// those to empty.
type Filling struct{ From, Step, Keys, Empty int }

// Status is how a replica fares.
type Status struct {
	Metrics cluster.Metrics
	Ready   bool
	Table   uint64
	Memory  Memory // the peaks since the last phase began
}

// None is no argument, or no answer.
type None struct{}

// stdio is the way to the parent.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

// serveReplica does what the parent says until that closes standard input.
func serveReplica() {
	r := &Replica{memory: newWatch()}
	server := rpc.NewServer()
	if err := server.Register(r); err != nil {
		panic(err) // the methods don't have the form that net/rpc wants
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	if r.load != nil {
		r.load.stop()
	}
	if r.node != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // it needn't hand over: the run is at its end
		_ = r.node.Close(ctx)
	}
}

// Open starts the node and returns the address of its gossip.
func (r *Replica) Open(o Opening, address *string) (err error) {
	r.node, err = cluster.Start(context.Background(), cluster.Config{
		Name: o.Name, Bind: "127.0.0.1:0", Seeds: o.Seeds,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	*address = r.node.GossipAddress()
	r.load = newLoad(r.node)
	return nil
}

// Fill hits keys, each once, and empties others.
func (r *Replica) Fill(f Filling, _ *None) error {
	var wg sync.WaitGroup
	failed := make(chan error, 2*fillers)
	for i := range fillers {
		wg.Go(func() {
			from, step := f.From+i*f.Step, fillers*f.Step
			if err := r.fill(liveRule(), liveCost, from, step, f.Keys); err != nil {
				failed <- err
			} else if err := r.fill(emptyRule(), 1, from, step, f.Empty); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (r *Replica) fill(rule *bucket.Rule, cost int64, from, step, keys int) error {
	for i := from; i < keys; {
		d, err := r.node.Take(context.Background(), rule, keyOf(i), cost)
		switch {
		case err != nil:
			return err
		case d.Degraded: // the machine is busy, and whether it was debited is unknown
			time.Sleep(10 * time.Millisecond)
			continue
		}
		i += step
	}
	return nil
}

func liveRule() *bucket.Rule  { return bucket.MustRule("live", liveLimit) }
func emptyRule() *bucket.Rule { return bucket.MustRule("empty", emptyLimit) }

func keyOf(i int) string { return "user " + strconv.Itoa(i) }

// Load goes on with that many decisions a second.
func (r *Replica) Load(l Loading, _ *None) error {
	r.load.start(l)
	return nil
}

// Phase begins the next phase of the load.
func (r *Replica) Phase(_ None, _ *None) error {
	r.load.next()
	r.memory.restart()
	return nil
}

// Phases ends the load and returns what became of it, phase by phase.
func (r *Replica) Phases(_ None, phases *[]Phase) error {
	*phases = r.load.stop()
	return nil
}

// Collect collects all garbage, and gives back to the operating system what it can.
func (r *Replica) Collect(_ None, _ *None) error {
	debug.FreeOSMemory()
	r.memory.restart()
	return nil
}

// Profile begins a profile of the CPU in a file, or ends it if that is "".
func (r *Replica) Profile(file string, _ *None) error {
	if file == "" {
		pprof.StopCPUProfile()
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// Status tells how the replica fares.
func (r *Replica) Status(_ None, s *Status) error {
	s.Memory = r.memory.peaks()
	if r.node == nil {
		return nil
	}
	s.Metrics, s.Ready, s.Table = r.node.Metrics(), r.node.Ready(), r.node.TableHash()
	if s.Metrics.Members == 0 {
		return fmt.Errorf("%s sees nobody, not even itself", r.node.Name())
	}
	return nil
}
