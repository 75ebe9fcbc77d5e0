// Scale shows what a join costs when there is much to move: three replicas, each a
// process of its own, hold a million live buckets and decide a steady stream of
// hits, and a fourth joins.
//
//	go run ./test/scale                 # a million keys, 10 000 decisions a second
//	go run ./test/scale -keys 100000 -rate 5000 -json r.json
//
// The sockets are real, on loopback, and so is everything above them: what runs in
// each process is [cluster.Start] with its defaults. The program starts itself again
// for each replica ("scale replica") and tells it what to do by net/rpc over
// standard input and output.
//
// The buckets are of an hour-long limit, and half empty, so none of them is full
// before the run is over. Some thousand more are empty. They are asked for
// throughout, and not one of them may admit anything, whoever holds it.
//
// The load is open: every millisecond some hits are due, whatever has become of the
// earlier ones, and the latency of each counts from the moment when it was due. Two
// of three are decided by another replica than the one that is asked. The replicas
// share the machine with each other and with whatever else runs there, so a latency
// by itself says little; the ratio of two phases of one run says more.
//
// "Before" are some seconds of three replicas. "During" begins when the fourth
// starts and ends when every partition is where the table wants it, with a complete
// copy at its standby, and those who needn't keep theirs have forgotten it.
// "After" are some seconds of four.
//
// Memory is stated in two ways for each process. Live is what the garbage collector
// found alive when it last ran, which it is made to do before and after: buckets,
// copies on their way, connections. Resident is what the operating system has given
// to the process, garbage that waits for its collection included. The peak is the
// sum of each process's own, which they needn't have reached together.
//
// The program fails if p99 during the move is more than 5 times that before, or after
// where that was worse, for others may use the machine, too. It fails if the move takes
// more than 200 MB of live memory, the fourth process's own included, or if an empty
// bucket admits anything. Its exit status is 3 if the latency alone is at fault, which
// is worth another try on a busy machine, and else 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == replicaArg {
		serveReplica()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := scale(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "scale: %v\n", err)
	if errors.Unwrap(err) == errSlow {
		os.Exit(3)
	}
	os.Exit(1)
}

// plan is what is to be done.
type plan struct {
	keys, empty int
	rate        int // decisions a second, by all replicas together
	phase       time.Duration
	json        string
	profile     string
}

func parsePlan(args []string) (p plan, err error) {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.IntVar(&p.keys, "keys", 1_000_000, "`number` of live buckets")
	flags.IntVar(&p.empty, "empty", 3000, "`number` of empty buckets besides")
	flags.IntVar(&p.rate, "rate", 10_000, "decisions a `second`, by all replicas together")
	flags.DurationVar(&p.phase, "phase", 5*time.Second, "how long the load runs before the join, and after the move")
	flags.StringVar(&p.json, "json", "", "`file` for the report, besides")
	flags.StringVar(&p.profile, "profile", "", "`directory` for each replica's CPU profile of the move")
	if err := flags.Parse(args); err != nil {
		return plan{}, err
	}
	if flags.NArg() > 0 || p.keys < 1 || p.empty < 1 || p.rate < 1 || p.phase <= 0 {
		return plan{}, errors.New("every flag must be positive, and there are no arguments")
	}
	return p, nil
}

func scale(ctx context.Context, args []string) error {
	p, err := parsePlan(args)
	if err != nil {
		return err
	}
	r, err := run(ctx, p)
	if err != nil {
		return err
	}
	fmt.Print(r.text())
	if p.json != "" {
		b, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.json, b, 0o644); err != nil {
			return err
		}
	}
	return r.check()
}
