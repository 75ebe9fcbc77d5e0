// Bench measures what a forwarded decision costs: two processes on loopback, an
// asker and the owner of all the keys, and closed-loop callers in the asker that
// each have one hit decided by the owner, wait for the answer and ask again.
//
//	go run . -pin                            # the table to compare designs by
//	go run . -callers 1,16,64,256,1024       # unpinned
//	go run . -pin -systems shoal,shoal-transport,tcp,tcp-idle -callers 64,256,1024
//	go run . -pin -systems stream-echo,shoal,tcp -callers 1
//	go run . -systems shoal,shoal-transport,unary -profile /tmp/p -json r.json
//	go run . -rate 20000 -callers 1024       # an open loop
//	go run . -svg chart.svg                  # as the README shows
//
// The keys and the callers are the same for all systems. Those of the first kind
// differ only in how the hit travels: the owner makes the same decision by the same
// bucket.Store in all of them.
//
//   - shoal: cluster.Node.Take between two real nodes, for keys that the other
//     node owns, with mutual TLS: routing, digest, batching, deadline of 50 ms, failure
//     policy, heartbeats, replication. shoal-plain is the same without TLS.
//   - shoal-transport: transport.Peer.Ask alone, with digest and deadline. The
//     difference from shoal is what cluster adds. transport-plain is without TLS.
//   - tcp: the same batching, with frames of the same size, over a bare connection,
//     with mutual TLS: what the machine allows. tcp-plain is without TLS, and tcp-idle
//     without digest and decision: nothing but the frames.
//   - stream-echo: a bare gRPC stream that says as many bytes back as a hit and its
//     verdict have: what a lone caller can hope for. stream-plain is without TLS.
//   - unary: a plain unary gRPC method with default options, one small
//     message each way and no deadline, the least that a service of this kind
//     can do. What it leaves out is in its favour.
//
// The others are what services use today, with their servers started for the run
// where they are installed: redis_rate and httprate as their users call them; the same
// arithmetic, and a bare INCR, with all callers' commands in one pipe, as a careful
// engineer would write it; and a bare incr in memcached. The servers' CPU time is
// counted. INCR and incr only count: windows, refusals and what is in headers would come on top.
//
// Every round measures every system, in an order that rotates, with owners and
// connections of its own, so a slow minute of the machine hits all of them. A
// figure is the median of the rounds, with the smallest and the largest in
// brackets. The second table divides round by round, which cancels out much of
// what the machine did meanwhile.
//
// How to read it. Compare designs pinned (-pin: both processes on one CPU, so no
// idle CPU has to be woken) and by the CPU column: CPU seconds per million
// decisions, which is also CPU µs per decision, asker, load generator and owner
// together. Unpinned figures depend more on where the kernel puts the processes
// than on any design. "others" is how many CPUs anything else kept busy in the
// interval, time stolen by the hypervisor included: unpinned, a machine that is
// a little busy looks twice as fast as an idle one; pinned, "others here" (on
// the CPU of the two) takes decisions per second away, and little else. Where a
// column's brackets are wider than the difference that you look for, there is
// no difference. p50 and p99 are those of a closed loop: callers wait for each
// other, so at many callers they say how fast the loop turns and not how long a
// lone request would take. With -rate hits come when they are due instead, and their
// latency counts from then, the inaccuracy of timers included.
//
// A decision counts only if the owner made it: refused, degraded and unanswered
// ones are counted as failed. The limit is far away and the keys are many, so no
// key is hot and none is full.
//
// To add a system, write a file with a type that implements system, and name it
// in systems. The program starts itself again as the owner process ("bench
// owner SYSTEM"), which serves until its standard input ends and reports its use
// of the machine over standard output, see owner.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var faulty *flagError
	switch err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stdout, err)
	case errors.As(err, &faulty):
		fmt.Fprintf(os.Stderr, "bench: %v (-h shows all flags)\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// bench is the whole program.
func bench(ctx context.Context, args []string, out, progress io.Writer) error {
	if isOwner(args) {
		return ownerMain(args[1:])
	}
	p, err := parsePlan(args)
	if err != nil {
		return err
	}
	if p.pin {
		if err := pin(); err != nil {
			return fmt.Errorf("-pin: %w", err)
		}
	}
	r := newReport(p)
	fmt.Fprintf(progress, "bench: about %v: %s\n", p.length(), r.Condition)
	if r.Samples, err = run(ctx, p, progress); err != nil {
		return err
	}
	if _, err := io.WriteString(out, r.text()); err != nil {
		return err
	}
	return r.write(p)
}
