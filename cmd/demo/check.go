package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/cluster"
)

// usageError is a fault of the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

const maxPort = 1<<16 - 1

// checkAddress returns the port of a host:port.
func checkAddress(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, fmt.Errorf("%q is not host:port", address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q has the port %q; it must be a number from 0 to %d", address, port, maxPort)
	}
	return int(n), nil
}

// list splits at commas and drops what is empty.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// parsePrefixes reads networks, 10.0.0.0/8, and single addresses.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, fault := netip.ParseAddr(text); fault == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8", text)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// checkCluster tells faults of the flags from those that the machine may have,
// such as a port in use: without sockets only the former are left.
func checkCluster(c cluster.Config) error {
	c.Network = noNetwork{}
	if c.Bind != "" && c.PeerBind == "" {
		c.PeerBind = "127.0.0.1:0" // else it is made of Bind, and has its faults
	}
	node, err := cluster.Start(context.Background(), c)
	if err == nil {
		return node.Close(context.Background())
	}
	if errors.Is(err, errNoNetwork) {
		return nil
	}
	return usageError{errors.New(inFlags(err.Error()))}
}

// inFlags puts the flags for the fields of cluster.Config.
func inFlags(text string) string {
	return strings.NewReplacer(
		"cluster: Config.Name:", "-name:",
		"cluster: Config.Cluster:", "-cluster:",
		"cluster: Config.Bind:", "-bind:",
		"cluster: Config.PeerBind:", "-peer-bind:",
		"cluster: Config.Advertise:", "-advertise:",
		"cluster: Config.Seeds", "-seeds",
		"cluster: Config.HitTimeout:", "-hit-timeout:",
		"set Secret to the same random bytes on all replicas, or Insecure", "give -secret-file the same random bytes on all replicas, or -insecure",
		"cluster: Config.Secret:", "-secret-file:",
		"set Bind", "give -bind",
	).Replace(text)
}

var errNoNetwork = errors.New("no network")

// noNetwork is a cluster.Network that gives no sockets.
type noNetwork struct{}

func (noNetwork) Gossip(string) (memberlist.Transport, error) { return nil, errNoNetwork }

func (noNetwork) Listen(string) (net.Listener, error) { return nil, errNoNetwork }

func (noNetwork) Dial(context.Context, string) (net.Conn, error) { return nil, errNoNetwork }
