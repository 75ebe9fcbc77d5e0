package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/cluster"
)

// demoConfig is what the all-in-one is made of.
type demoConfig struct {
	replicas int
	listen   string // of the balancer; the replicas take the next ports, or any if it is 0
	mysql    string // as a replica's
	log      *slog.Logger
}

// hitTime is long, as nobody crashes alone in here: a machine so busy that an
// answer takes 50 ms should not be taken for a replica that is gone.
const hitTime = time.Second

// demo is some replicas and a load balancer in one process.
type demo struct {
	replicas []*replica
	balancer *balancer
	began    time.Time
}

// startDemo starts everything, or nothing.
func startDemo(ctx context.Context, c demoConfig) (*demo, error) {
	listeners, err := listenAll(c.listen, 1+c.replicas)
	if err != nil {
		return nil, err
	}
	d := &demo{began: time.Now()}
	pass := newPass()
	var seeds []string
	for i, l := range listeners[1:] {
		r, err := startReplicaOn(ctx, l, replicaConfig{
			cluster: cluster.Config{
				Name:       "replica-" + strconv.Itoa(i+1),
				Cluster:    "demo",
				Bind:       "127.0.0.1:0",
				Seeds:      seeds,
				HitTimeout: hitTime,
				Log:        c.log.With("replica", i+1),
			},
			client: pass.client,
			mysql:  c.mysql,
			log:    c.log,
		})
		if err != nil {
			ending, cancel := toEnd(ctx)
			defer cancel()
			err = errors.Join(err, d.close(ending))
			closeAll(listeners)
			return nil, err
		}
		d.replicas = append(d.replicas, r)
		seeds = []string{d.replicas[0].node.GossipAddress()}
	}
	d.balancer = newBalancer(listeners[0], newUpstreams(d.addresses()), pass, d.settled, c.log)
	return d, nil
}

// listenAll opens n listeners, on the given port and those after it.
func listenAll(address string, n int) ([]net.Listener, error) {
	host, text, err := net.SplitHostPort(address)
	port, fault := strconv.Atoi(text)
	if err := errors.Join(err, fault); err != nil {
		return nil, err
	}
	listeners := make([]net.Listener, 0, n)
	for i := range n {
		if port != 0 {
			text = strconv.Itoa(port + i)
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, text))
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

func (d *demo) addresses() []string {
	var addresses []string
	for _, r := range d.replicas {
		addresses = append(addresses, r.server.address())
	}
	return addresses
}

// announce says nothing: a demo is worth a word when it is ready.
func (d *demo) announce(io.Writer) {}

func (d *demo) welcome(w io.Writer) {
	front := d.balancer.server.address()
	fmt.Fprintf(w, "Shoal: %s with one set of limits, ready in %.1f s\n\n", count(len(d.replicas), "replica"), time.Since(d.began).Seconds())
	fmt.Fprintf(w, "  %-14s http://%s\n", "load balancer", front)
	for _, r := range d.replicas {
		fmt.Fprintf(w, "  %-14s http://%s  gossip %s  owns %d of 4096 partitions\n",
			r.node.Name(), r.server.address(), r.node.GossipAddress(), owned(r.node))
	}
	fmt.Fprintf(w, `
Try
  curl -i %[1]s/resource/test    # twice: two replicas answer, but only one request passes
  for i in $(seq 30); do curl -s -o /dev/null -w '%%{http_code}\n' '%[1]s/try?limit=10/hour&key=alice'; done | sort | uniq -c
  for i in $(seq 10); do curl -s -o /dev/null -w '%%{http_code}\n' '%[1]s/slow?ms=500' & done; wait    # 2 at a time
  curl -s '%[1]s/try?limit=5/minute+sliding'
  curl -s %[1]s/cluster

Ctrl-C ends it.
`, front)
}

// owned is the number of partitions that a node owns in its own view.
func owned(node *cluster.Node) int {
	for _, m := range node.Members() {
		if m.Self {
			return m.Partitions
		}
	}
	return 0
}

// close lets the balancer finish first, then the replicas' own clients. Then the
// nodes leave all at once: nobody stays who could take over what they have counted.
func (d *demo) close(ctx context.Context) error {
	errs := make([]error, len(d.replicas)+1)
	if d.balancer != nil {
		errs[len(d.replicas)] = d.balancer.close(ctx)
	}
	var wg sync.WaitGroup
	for i, r := range d.replicas {
		wg.Go(func() { errs[i] = r.stop(ctx) })
	}
	wg.Wait()
	for _, r := range d.replicas {
		wg.Go(func() { r.leave(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
