package main

import (
	"flag"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"
)

const balanceUsage = `Usage: demo balance [flags]    a load balancer in front of replicas

Flags:
`

// balanceConfig is what a balancer on its own is made of.
type balanceConfig struct {
	listen   string
	replicas []string // host:port, where a host may be a name of many
	linger   time.Duration
	log      *slog.Logger
}

// parseBalance reads the command line of a balancer on its own.
func parseBalance(args []string, stdout, stderr io.Writer) (balanceConfig, error) {
	var c balanceConfig
	fs := flag.NewFlagSet("demo balance", flag.ContinueOnError)
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8080", "`host:port` for clients")
	replicas := fs.String("replicas", "127.0.0.1:8081", "`host:port,...` of the replicas' -http; a DNS name stands for all its addresses, and is resolved again every "+resolveEvery.String())
	fs.DurationVar(&c.linger, "linger", 500*time.Millisecond, "how long to serve on after SIGTERM, no longer ready, so that who is in front can notice; up to "+maxLinger.String())
	verbose := fs.Bool("v", false, "log what happens, to standard error")
	if err := parse(fs, args, stdout, balanceUsage); err != nil {
		return c, err
	}
	c.log = newLog(stderr, *verbose)
	c.replicas = list(*replicas)
	if len(c.replicas) == 0 {
		return c, usagef("-replicas: none are given; give host:port, where the host may be a DNS name")
	}
	for _, name := range c.replicas {
		port, err := checkAddress(name)
		if err != nil {
			return c, usagef("-replicas: %w", err)
		}
		if host, _, _ := net.SplitHostPort(name); port == 0 || strings.TrimSpace(host) == "" {
			return c, usagef("-replicas: %q names no host and port that can be dialled", name)
		}
	}
	if c.linger < 0 || c.linger > maxLinger {
		return c, usagef("-linger %v is not between 0s and %v", c.linger, maxLinger)
	}
	if _, err := checkAddress(c.listen); err != nil {
		return c, usagef("-listen: %w", err)
	}
	return c, nil
}
