// Demo shows Shoal at work: some replicas of one small web service, a load
// balancer in front of them, and limits that hold over all replicas together.
//
//	go run ./cmd/demo            three replicas and a load balancer
//	go run ./cmd/demo replica    one replica; several of these make a cluster
//	go run ./cmd/demo balance    a load balancer that finds the replicas by DNS
//	go run ./cmd/demo load       send load, and check that the limit is kept
//	go run ./cmd/demo -h         all flags
//
// Everything is what it would be in production: each replica has a cluster.Node
// with its own sockets, the replicas find each other by gossip and ask each
// other over gRPC, and clients come by HTTP. The all-in-one merely keeps all of
// it in one process, where a dashboard at /_shoal/ of the balancer shows what they do,
// and can make them come, go, crash and lose sight of each other. The balancer is httputil.ReverseProxy and goes round
// robin, so consecutive requests meet different replicas; X-Served-By says which.
//
// The routes of a replica:
//
//	GET        /                a list of these
//	GET        /test            no limit
//	GET, POST  /resource/test   1 per 10 second and client, both methods together
//	GET        /resource/other  1 per second and client, the default of /resource
//	GET        /slow            takes ms=500, and 2 of a user run at a time: ?ms=500&user=alice
//	GET, POST  /try             any limit for any key: ?limit=10/minute&key=alice&cost=1
//	GET        /tutorial/...    the systems of four tutorials; package seeds lists their routes
//	GET        /tour/...
//	GET        /snippet/...
//	GET        /continents      5 in 60 s for each user: curl -u john_doe:EXAMPLE_PASSWORD
//	GET        /cluster         the members and the table of owners, as this replica sees them
//	GET        /healthz         200 while it serves
//	GET        /readyz          200 once it has joined and its table is settled, else 503
//
// /try takes every form of limit, as in 5/minute sliding, 100/day calendar in
// Europe/Berlin, or 2 concurrent (which runs for ms=500), several separated by
// semicolons, and with them penalty 3/hour, policy deny and mode shadow.
//
// A client is an IP address. X-Forwarded-For counts only if it was written by
// the balancer of the all-in-one or by a proxy in -trusted-proxies, as demo balance is. A user is a client
// unless user says otherwise.
//
// It ends by itself on SIGINT and SIGTERM: a replica is no longer ready but serves
// on for -linger, requests under way are answered, the nodes hand over what they
// have counted and leave the cluster, and the exit code is 0. It is 1 if something fails,
// such as a port in use, and 2 if the command line is wrong; either way one line
// on standard error says what.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // calendars' zones, where the host has none
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program up to its exit code. It ends when ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var usage usageError
	switch err := command(ctx, args, stdout, stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "demo: %s (-h lists the flags)\n", oneLine(err))
		return 2
	default:
		fmt.Fprintf(stderr, "demo: %s\n", oneLine(err))
		return 1
	}
}

// oneLine joins the lines of an error that names several faults.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// command starts what the arguments ask for and stays with it to its end.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "load" {
		return loads(ctx, args[1:], stdout, stderr)
	}
	p, err := start(ctx, args, stdout, stderr)
	if err != nil && ctx.Err() != nil {
		return nil // being told to end is no failure
	}
	if err != nil {
		return err
	}
	return attend(ctx, p, stdout)
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) (program, error) {
	if len(args) > 0 && args[0] == "replica" {
		c, err := parseReplica(args[1:], stdout, stderr)
		if err != nil {
			return nil, err
		}
		return startReplica(ctx, c)
	}
	if len(args) > 0 && args[0] == "balance" {
		c, err := parseBalance(args[1:], stdout, stderr)
		if err != nil {
			return nil, err
		}
		return startBalance(ctx, c)
	}
	c, err := parseDemo(args, stdout, stderr)
	if err != nil {
		return nil, err
	}
	return startDemo(ctx, c)
}

// program is what runs: a demo, a replica or a balancer, started.
type program interface {
	wait(ctx context.Context) error // until it is ready
	announce(w io.Writer)           // that it is started
	welcome(w io.Writer)            // that it is ready
	close(ctx context.Context) error
}

// attend sees a program through, from its start to its end.
func attend(ctx context.Context, p program, stdout io.Writer) error {
	p.announce(stdout)
	err := p.wait(ctx)
	if err == nil {
		p.welcome(stdout)
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil
	}
	ending, cancel := toEnd(ctx)
	defer cancel()
	return errors.Join(err, p.close(ending))
}

// closeTime bounds how long an end may take: with the longest linger and the longest
// request under way 10 s are left for the farewells.
const closeTime = maxLinger + drainTime + 10*time.Second

// toEnd is a context for the end of what ran under ctx, which may be done.
func toEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), closeTime)
}
