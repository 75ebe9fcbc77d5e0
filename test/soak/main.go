// Command soak keeps a cluster of real processes under load for long, replaces replicas
// all the while, and looks whether those that stay use more and more of anything:
// goroutines, file descriptors, heap.
//
//	bash test/soak/run -minutes 30
//
// There are five replicas with a secret. Two of them are replaced in turn: one is
// told to leave and the next is killed, and each comes back as a new process under its
// old name. Three stay from the beginning to the end. Each replica asks about hot
// keys, which everybody asks about, steady ones, idle ones that come back once a minute,
// and attacks: keys that nobody has seen before nor will again.
//
// Every second each replica collects its garbage and says what it uses. The first half of
// the time is for warming up. In the second, the line that fits a figure of a staying
// replica best (least squares) may rise by no more than a tenth of its mean from end to
// end, or by what a few connections need. No decision may fail.
//
// What is measured is drawn as docs/soak.svg, with a line where a replica was replaced.
// Nothing here depends on how fast the machine is: the load is paced, and a machine that
// can't keep up only does less.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// replicaArg makes a process of this program a replica.
const replicaArg = "replica"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == replicaArg {
		return replica(ctx, os.Stdin, out)
	}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	minutes := flags.Float64("minutes", 30, "how long to go on")
	every := flags.Duration("every", 10*time.Second, "how often a replica is replaced")
	rate := flags.Int("rate", 3000, "`hits` per second of each replica, of all kinds together")
	plot := flags.String("svg", "docs/soak.svg", "where to draw what was measured; \"\" is nowhere")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &soak{every: *every, rate: *rate, length: time.Duration(*minutes * float64(time.Minute)), out: out}
	if err := s.run(ctx); err != nil {
		return err
	}
	if *plot != "" {
		if err := os.WriteFile(*plot, draw(s), 0o644); err != nil {
			return err
		}
	}
	return s.judge()
}
