package main

import (
	"context"
	"flag"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/load"
)

const loadUsage = `Usage: demo load [flags]    send load, and check that the limit is kept

Flags:
`

// tryRoute is a route on which any key can have any limit.
const tryRoute = "/try?limit=" + load.LimitMark + "&key=" + load.KeyMark

// loads sends a load.
func loads(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parseLoad(args, stdout)
	if err != nil {
		return err
	}
	return load.Run(ctx, c, stdout, stderr)
}

// parseLoad reads the command line of the load generator.
func parseLoad(args []string, stdout io.Writer) (c load.Config, err error) {
	fs := flag.NewFlagSet("demo load", flag.ContinueOnError)
	target := fs.String("target", "http://127.0.0.1:8080", "`url` of the server: scheme, host and port")
	fs.IntVar(&c.Rate, "rate", 200, "requests per second, sent when they are due whether or not earlier ones were answered")
	fs.IntVar(&c.Keys, "keys", 1, "how many keys, user-1 and so on, stand for "+load.KeyMark+" in -route")
	fs.Float64Var(&c.Skew, "skew", 0, "how uneven the keys are: the k-th gets a share of 1/k^skew")
	fs.DurationVar(&c.Duration, "duration", 10*time.Second, "how long; Ctrl-C ends it sooner, with a summary")
	fs.StringVar(&c.Route, "route", "", "`path` and query to GET, with marks (default "+tryRoute+")")
	fs.StringVar(&c.Text, "limit", "", "the `limit` of each key, as in 20/second burst 40 (default what RateLimit-Policy says, or 10/second without -route)")
	fs.BoolVar(&c.JSON, "json", false, "write the summary as JSON")
	fs.BoolVar(&c.AnyHost, "any-host", false, "load other hosts than this one")
	if err := parse(fs, args, stdout, loadUsage); err != nil {
		return c, err
	}
	if err := c.Check(func(field string) string { return "-" + field }); err != nil {
		return c, usageError{err}
	}
	if c.Target, err = parseTarget(*target, c.AnyHost); err != nil {
		return c, err
	}
	if c.Route == "" {
		c.Route = tryRoute
		if c.Text == "" {
			c.Text = "10/second"
		}
	}
	return c, checkRoute(&c)
}

// parseTarget reads where to send load.
func parseTarget(text string, anyHost bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, usagef("-target %q is not like http://127.0.0.1:8080; a path belongs into -route", text)
	}
	a, err := netip.ParseAddr(u.Hostname())
	if !anyHost && u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
		return nil, usagef("-target %s is another host; give -any-host if it is yours to load", u.Hostname())
	}
	if _, port, err := net.SplitHostPort(u.Host); err == nil {
		if _, err := checkAddress(net.JoinHostPort(u.Hostname(), port)); err != nil {
			return nil, usagef("-target: %w", err)
		}
	}
	return u, nil
}

// checkRoute sees that route, keys and limit fit each other.
func checkRoute(c *load.Config) (err error) {
	switch {
	case !strings.HasPrefix(c.Route, "/"):
		return usagef("-route %q doesn't begin with a slash", c.Route)
	case c.Keys > 1 && !strings.Contains(c.Route, load.KeyMark):
		return usagef("-keys %d: -route has no %s, so all requests have the same key", c.Keys, load.KeyMark)
	case c.Text == "" && strings.Contains(c.Route, load.LimitMark):
		return usagef("-route has %s; give -limit as well", load.LimitMark)
	case c.Text == "":
		return nil
	}
	if c.Limits, err = bucket.ParseLimits(c.Text); err != nil {
		return usagef("-limit: %w", err)
	}
	if err := load.Checkable(c.Limits); err != nil {
		return usagef("-limit: %w", err)
	}
	return nil
}
