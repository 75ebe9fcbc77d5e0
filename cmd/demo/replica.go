package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/internal/cutnet"
	"github.com/shoal-dev/shoal/httpmw"
)

// replicaConfig is what a replica is made of.
type replicaConfig struct {
	http    string // host:port for clients
	cluster cluster.Config
	client  httpmw.KeyFunc // tells clients apart
	linger  time.Duration  // how long to serve on while no longer ready
	mysql   string         // where the continents are; "" means in the program
	log     *slog.Logger
}

// replica is one replica of the service: its part in the cluster, and a server
// for clients.
type replica struct {
	node   *cluster.Node
	server *server
	host   *cutnet.Host // nil but in the all-in-one
	number int          // likewise
	ending atomic.Bool  // no longer ready
	killed atomic.Bool  // without a farewell
	linger time.Duration
	log    *slog.Logger
	atlas  func() error // ends who knows the continents
}

// startReplica listens, and begins to look for the other replicas.
func startReplica(ctx context.Context, c replicaConfig) (*replica, error) {
	l, err := net.Listen("tcp", c.http)
	if err != nil {
		return nil, err
	}
	return startReplicaOn(ctx, l, c)
}

// startReplicaOn is startReplica for a listener that is there, and is closed if
// the start fails.
func startReplicaOn(ctx context.Context, l net.Listener, c replicaConfig) (*replica, error) {
	continents, end, err := openAtlas(c.mysql, c.log)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	node, err := cluster.Start(ctx, c.cluster)
	if err != nil {
		_ = l.Close()
		return nil, errors.Join(err, end())
	}
	r := &replica{node: node, linger: c.linger, log: c.log, atlas: end}
	h, err := newRoutes(node, c.client, r.ready, continents, c.log)
	if err != nil { // only if the demo itself is wrong
		_ = l.Close()
		return nil, errors.Join(err, end(), node.Close(ctx))
	}
	r.server = serve(l, h, c.log)
	return r, nil
}

// ready reports whether the replica should be sent requests.
func (r *replica) ready() bool { return !r.ending.Load() && r.node.Ready() }

func (r *replica) announce(w io.Writer) {
	gossip := r.node.GossipAddress()
	if gossip == "" {
		gossip = "none"
	}
	fmt.Fprintf(w, "replica %s: http://%s, gossip %s\n", r.node.Name(), r.server.address(), gossip)
}

func (r *replica) wait(ctx context.Context) error { return poll(ctx, r.node.Ready) }

func (r *replica) welcome(w io.Writer) {
	fmt.Fprintf(w, "ready: %s, table %016x\n", count(len(r.node.Members()), "replica"), r.node.TableHash())
}

// close says that the replica is no longer ready, and gives those in front of it the
// time to notice. Then it answers the requests under way, and when nobody can ask it
// any more it hands its part of the state to the others and leaves the cluster.
func (r *replica) close(ctx context.Context) error {
	r.ending.Store(true)
	hold(ctx, r.linger)
	err := r.stop(ctx)
	r.leave(ctx)
	return err
}

// stop answers the requests under way, and takes no more.
func (r *replica) stop(ctx context.Context) error {
	return errors.Join(r.server.close(ctx), r.atlas())
}

// leave ends the node. A farewell that nobody heard is no failure: when all
// replicas end at once, nobody is left to hear it.
func (r *replica) leave(ctx context.Context) {
	if err := r.node.Close(ctx); err != nil {
		r.log.Warn("left without telling the others", "error", err)
	}
}

// kill ends the replica as kill -9 does: from one moment to the next it has no sockets.
func (r *replica) kill() {
	r.killed.Store(true)
	r.ending.Store(true)
	r.host.Kill()
	_ = r.server.http.Close()
	<-r.server.ended
	_ = r.atlas()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.node.Close(ctx) // which complains that nobody heard a farewell
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
