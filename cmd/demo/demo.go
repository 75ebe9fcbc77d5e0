package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/internal/cutnet"
	"github.com/shoal-dev/shoal/cmd/demo/internal/dashboard"
)

// demoConfig is what the all-in-one is made of.
type demoConfig struct {
	replicas int
	listen   string // of the balancer; the replicas take the next ports, or any if it is 0
	mysql    string // as a replica's
	log      *slog.Logger
}

// hitTime is long: a machine so busy that an answer takes 25 ms should not be taken for
// a replica that is gone.
const hitTime = 500 * time.Millisecond

// demo is some replicas and a load balancer in one process.
type demo struct {
	log      *slog.Logger
	mysql    string // as a replica's
	pass     *pass
	net      *cutnet.Net
	balancer *balancer
	page     *dashboard.Dashboard
	host     string // of the replicas' ports for clients
	port     int    // of the balancer; 0 means any
	began    time.Time
	ending   sync.WaitGroup // of replicas that were stopped or killed

	changing sync.Mutex // held while a replica starts
	closed   bool       // none may start any more

	mu       sync.Mutex
	replicas []*replica // that live, by number
	leaving  []*replica
}

// startDemo starts everything, or nothing.
func startDemo(ctx context.Context, c demoConfig) (*demo, error) {
	listeners, err := listenAll(c.listen, 1+c.replicas)
	if err != nil {
		return nil, err
	}
	d := &demo{log: c.log, mysql: c.mysql, pass: newPass(), net: cutnet.New(c.log), began: time.Now()}
	front := listeners[0].Addr().(*net.TCPAddr)
	if d.host = front.IP.String(); !strings.HasSuffix(c.listen, ":0") {
		d.port = front.Port
	}
	for i, l := range listeners[1:] {
		if _, err := d.start(ctx, l, i+1); err != nil {
			ending, cancel := toEnd(ctx)
			defer cancel()
			err = errors.Join(err, d.close(ending))
			closeAll(listeners)
			return nil, err
		}
	}
	d.page = dashboard.New(d)
	d.balancer = newBalancer(listeners[0], newUpstreams(d.addresses()), d.pass, d.settled, http.StripPrefix(strings.TrimSuffix(pagePath, "/"), d.page), c.log)
	return d, nil
}

// start starts a replica, which clients reach by l. It knows of all that live on its
// side; l is closed if that fails.
func (d *demo) start(ctx context.Context, l net.Listener, number int) (*replica, error) {
	name := "replica-" + strconv.Itoa(number)
	host := d.net.Host(name)
	r, err := startReplicaOn(ctx, l, replicaConfig{
		cluster: cluster.Config{
			Name:       name,
			Cluster:    "demo",
			Bind:       "127.0.0.1:0",
			Seeds:      d.seeds(name),
			HitTimeout: hitTime,
			Log:        d.log.With("replica", number),
			Network:    host,
		},
		client: d.pass.client,
		mysql:  d.mysql,
		log:    d.log,
	})
	if err != nil {
		return nil, err
	}
	r.host, r.number = host, number
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replicas = append(d.replicas, r)
	slices.SortFunc(d.replicas, func(a, b *replica) int { return a.number - b.number })
	return r, nil
}

// seeds are the gossip addresses of those whom a replica can reach.
func (d *demo) seeds(name string) (seeds []string) {
	own, _ := d.net.Side(name)
	for _, r := range d.living() {
		if side, _ := d.net.Side(r.node.Name()); side == own {
			seeds = append(seeds, r.node.GossipAddress())
		}
	}
	return seeds
}

// living returns the replicas that neither end nor have ended, by number.
func (d *demo) living() []*replica {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.replicas)
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

func (d *demo) addresses() []string { return addressesOf(d.living()) }

// addressesOf is where clients reach the replicas.
func addressesOf(replicas []*replica) []string {
	var addresses []string
	for _, r := range replicas {
		addresses = append(addresses, r.server.address())
	}
	return addresses
}

// announce says nothing: a demo is worth a word when it is ready.
func (d *demo) announce(io.Writer) {}

func (d *demo) welcome(w io.Writer) {
	front := d.balancer.server.address()
	replicas := d.living()
	fmt.Fprintf(w, "Shoal: %s with one set of limits, ready in %.1f s\n\n", count(len(replicas), "replica"), time.Since(d.began).Seconds())
	fmt.Fprintf(w, "  %-14s http://%s%s\n", "dashboard", front, pagePath)
	fmt.Fprintf(w, "  %-14s http://%s\n", "load balancer", front)
	for _, r := range replicas {
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
  go run ./cmd/demo load -target http://%[1]s -limit 20/second -keys 10 -rate 500 -duration 10s

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

// close ends the dashboard and lets the balancer finish, then the replicas' own clients.
// Then the nodes leave all at once: nobody stays who could take over what they have
// counted.
func (d *demo) close(ctx context.Context) error {
	if d.page != nil {
		d.page.Close()
	}
	d.changing.Lock()
	d.closed = true
	d.changing.Unlock()
	replicas := d.living()
	errs := make([]error, len(replicas)+1)
	if d.balancer != nil {
		errs[len(replicas)] = d.balancer.close(ctx)
	}
	var wg sync.WaitGroup
	for i, r := range replicas {
		wg.Go(func() { errs[i] = r.stop(ctx) })
	}
	wg.Wait()
	for _, r := range replicas {
		wg.Go(func() { r.leave(ctx) })
	}
	wg.Wait()
	d.ending.Wait()
	return errors.Join(errs...)
}
