package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/shoal-dev/shoal/httpmw"
)

// maxReplicas is what two busy cores can carry: each talks to every other.
const maxReplicas = 20

// maxLinger leaves time for the rest of an end.
const maxLinger = 30 * time.Second

const demoUsage = `Usage: demo [flags]            some replicas and a load balancer, in one process
       demo replica [flags]    one replica (demo replica -h lists its flags)
       demo balance [flags]    a load balancer in front of replicas (demo balance -h lists its flags)
       demo load [flags]       load for either (demo load -h lists its flags)

Flags:
`

const replicaUsage = `Usage: demo replica [flags]    one replica of a cluster

Flags:
`

// parseDemo reads the command line of the all-in-one.
func parseDemo(args []string, stdout, stderr io.Writer) (demoConfig, error) {
	var c demoConfig
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.IntVar(&c.replicas, "replicas", 3, "how many replicas, 1 to "+strconv.Itoa(maxReplicas))
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`host:port` of the load balancer; the replicas take the next ports, or any free ones if it is 0")
	mysql := mysqlFlag(fs)
	verbose := fs.Bool("v", false, "log what happens, to standard error")
	if err := parse(fs, args, stdout, demoUsage); err != nil {
		return c, err
	}
	c.log = newLog(stderr, *verbose)
	if c.replicas < 1 || c.replicas > maxReplicas {
		return c, usagef("-replicas %d is not between 1 and %d", c.replicas, maxReplicas)
	}
	port, err := checkAddress(c.listen)
	if err != nil {
		return c, usagef("-listen: %w", err)
	}
	if port != 0 && port+c.replicas > maxPort {
		return c, usagef("-listen %s leaves no ports for %d replicas after it", c.listen, c.replicas)
	}
	c.mysql, err = chooseMySQL(*mysql, c.log)
	return c, err
}

// parseReplica reads the command line of a single replica.
func parseReplica(args []string, stdout, stderr io.Writer) (replicaConfig, error) {
	var c replicaConfig
	fs := flag.NewFlagSet("demo replica", flag.ContinueOnError)
	fs.StringVar(&c.http, "http", "127.0.0.1:8081", "`host:port` for clients")
	fs.StringVar(&c.cluster.Bind, "bind", "127.0.0.1:7946", "`host:port` for gossip, TCP and UDP; \"\" means a replica on its own")
	seeds := fs.String("seeds", "", "`host:port,...`: gossip addresses of some of the others")
	fs.StringVar(&c.cluster.Name, "name", "", "stable `name` of this replica (default its gossip address)")
	fs.StringVar(&c.cluster.PeerBind, "peer-bind", "", "`host:port` for hits from the others, TCP (default any port on the host of -bind)")
	fs.StringVar(&c.cluster.Advertise, "advertise", "", "`ip:port` at which the others reach -bind, if not there")
	fs.StringVar(&c.cluster.Cluster, "cluster", "", "`name` of the cluster; replicas of others are refused (default \"shoal\")")
	secret := fs.String("secret-file", "", "`path` of a file with the secret that all replicas share, 16 random bytes or more; then what passes between them is encrypted")
	fs.BoolVar(&c.cluster.Insecure, "insecure", false, "let -bind and -peer-bind be reached from other hosts, without a secret")
	fs.DurationVar(&c.cluster.HitTimeout, "hit-timeout", 0, "how long to wait for another replica's decision (default 50ms)")
	trusted := fs.String("trusted-proxies", "", "`cidr,...` of the proxies whose X-Forwarded-For counts (default nobody's)")
	fs.DurationVar(&c.linger, "linger", 500*time.Millisecond, "how long to serve on after SIGTERM, no longer ready, so that a load balancer can notice; up to "+maxLinger.String())
	mysql := mysqlFlag(fs)
	verbose := fs.Bool("v", false, "log what happens, to standard error")
	if err := parse(fs, args, stdout, replicaUsage); err != nil {
		return c, err
	}
	c.log = newLog(stderr, *verbose)
	c.cluster.Log = c.log
	c.cluster.Seeds = list(*seeds)
	if *secret != "" {
		text, err := os.ReadFile(*secret)
		if err != nil {
			return c, usagef("-secret-file: %w", err)
		}
		if c.cluster.Secret = bytes.TrimRight(text, "\r\n"); len(c.cluster.Secret) == 0 {
			return c, usagef("-secret-file: %s is empty", *secret)
		}
	}
	proxies, err := parsePrefixes(list(*trusted))
	if err != nil {
		return c, usagef("-trusted-proxies: %w", err)
	}
	c.client = httpmw.ClientIP(proxies...)
	if c.linger < 0 || c.linger > maxLinger {
		return c, usagef("-linger %v is not between 0s and %v", c.linger, maxLinger)
	}
	if _, err := checkAddress(c.http); err != nil {
		return c, usagef("-http: %w", err)
	}
	if c.mysql, err = chooseMySQL(*mysql, c.log); err != nil {
		return c, err
	}
	return c, checkCluster(c.cluster)
}

// parse is flag's, with help on standard output and no text besides the error.
func parse(fs *flag.FlagSet, args []string, stdout io.Writer, usage string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usageError{err}
	case fs.NArg() > 0:
		return usagef("unexpected argument %q; the commands are replica, balance and load, and come before all flags", fs.Arg(0))
	}
	return nil
}

// newLog logs faults, and if verbose what happens too.
func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelError
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
