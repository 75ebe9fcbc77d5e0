// Package cluster is Shoal's entry point: a Node is one replica of a service,
// and all replicas together hold one set of limits, without a server for them.
//
//	node, err := cluster.Start(ctx, cluster.Config{Bind: "127.0.0.1:7946", Seeds: seeds})
//	...
//	decision, err := node.Take(ctx, rule, "alice", 1)
//
// The replicas find each other by gossip (hashicorp/memberlist) and agree by
// consistent hashing (package ring) on who owns each key. A hit goes to the
// owner (package transport), whose bucket for the key (package bucket) is the
// only one there is. [Node.Take] is the page to read first: it is the whole
// way of a hit.
//
// What a node believes of the cluster is its view: an immutable value, swapped
// when gossip reports a change. Gossip only kicks one goroutine, which reads the
// members anew and builds the next view from all of them, so events can't be
// missed or come in a wrong order. Each start of a replica is a boot with a name
// of its own, so a restarted replica is never mistaken for its former self, and
// the newer of two boots counts at once.
//
// memberlist doesn't heal a split by itself. A second goroutine resolves the
// seeds every few seconds and joins what is missing, for ever.
//
// The caller always has an answer by its deadline. When the owner is silent the
// rule's failure policy gives it: by default a share of the limit, decided here.
//
// Who may decide for a partition is a token, and package handoff says when it moves,
// with the buckets, as members come and go: so nothing is forgotten and nobody decides
// twice. One goroutine, exchange, looks every 50 ms at what the partitions need, and
// calls each peer about many at once. A hit looks for the token under its bucket's
// lock. Where it isn't here the hit goes to whoever was last known to have it, else to
// whom the table names, follows hints from there, and waits where the token is on its
// way.
//
// Another goroutine, replicate, copies what changes to each partition's standby every
// 100 ms: whoever the next table will name if the holder is gone. A hit whose holder
// is silent is an orphan. It goes to the standby, which passes it on if it, or a third
// replica, reaches the holder, under the number that it was first sent with: so it is
// debited once. Else the standby decides by its copy, says that the decision is
// Degraded, and owes the next holder what it has debited.
//
// A replica that was suspended doesn't know what has become of its tokens: it decides
// nothing until it has claimed them again, or handed its copies to who has them now.
//
// Keys that are asked for often need no message each time: what their holder has
// refused is refused here until the time that it named, and a replica that hits a key
// again and again is lent tokens of it, which it spends by itself (package bucket says
// why that lets nothing too much pass). One bounded table has both.
//
// What runs under a concurrency limit is soft state beside the buckets: each replica
// tells the holder how much runs there, and repeats it every second; what isn't
// repeated is void. It travels with the token.
package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// Node is one replica. It is safe for concurrent use.
type Node struct {
	config  Config
	started time.Time     // the origin of now
	store   *bucket.Store // of the keys that this node owns
	shares  *bucket.Store // for LocalShare: never merged with the other
	parts   *partitions
	view    atomic.Pointer[view]
	beat    atomic.Int64  // when exchange last looked: this replica hasn't stood still since
	kicked  chan struct{} // of capacity 1: exchange has something to look at
	changed atomic.Int64  // when the view last changed
	settled atomic.Bool   // has been ready once
	closing atomic.Bool   // no longer ready
	closed  atomic.Bool   // no longer answering

	hello  transport.Hello
	trust  trust   // nil where peers talk plain text
	gossip *gossip // nil when standalone
	server *transport.Server

	cancel context.CancelFunc
	wg     sync.WaitGroup
	ended  chan struct{} // closed when Close has ended
	left   error         // and what it returns

	inflight *inflight
	slotsDue chan struct{} // of capacity 1: keepSlots has something to look at

	panics   atomic.Int64
	lines    lines // of Wait
	lost     unreached
	counters counters
	tally    tally
	denied   denied
	calls    transport.Calls // of hits that aren't decided by what is known here
	hot      *hotKeys
	meter    transport.Meter
	scale    atomic.Int32 // by how much limits are divided here; 0 and 1: not
}

// Start makes a node and begins to look for the others; it doesn't wait until
// it has found them (see WaitReady). ctx is looked at once, before anything is opened.
// The error names every fault of the configuration, or the address that can't be
// bound.
func Start(ctx context.Context, c Config) (*Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	key := c.digestKey()
	background, cancel := context.WithCancel(context.Background())
	started := time.Now()
	stores := bucket.StoreConfig{DigestKey: key, Epoch: started.UnixNano(), ID: rand.Uint32()}
	replicated := stores
	replicated.Track, replicated.ID = c.Bind != "", rand.Uint32()
	stores.MaxBytes = int(c.MaxMemory / 8)
	replicated.MaxBytes = int(c.MaxMemory) - stores.MaxBytes
	n := &Node{
		config:  c,
		started: started,
		store:   bucket.NewStore(replicated),
		shares:  bucket.NewStore(stores),
		hello:   transport.Hello{Cluster: c.Cluster, Fingerprint: key.Fingerprint()},
		kicked:  make(chan struct{}, 1),
		ended:   make(chan struct{}),

		inflight: newInflight(),
		denied:   denied{size: c.DeniedKeys},
		slotsDue: make(chan struct{}, 1),
		cancel:   cancel,

		hot: newHotKeys(),
	}
	if err := n.open(background); err != nil {
		cancel()
		return nil, err
	}
	n.tend(background, "sweep", n.sweep)
	n.tend(background, "keepSlots", n.keepSlots)
	if n.gossip != nil {
		n.tend(background, "follow", n.follow)
		n.tend(background, "reconcile", n.reconcile)
		n.tend(background, "exchange", n.exchange)
		n.tend(background, "replicate", n.replicate)
		n.tend(background, "keepHot", n.keepHot)
	}
	return n, nil
}

// open brings the node to where it serves a view of itself alone.
func (n *Node) open(ctx context.Context) error {
	if n.config.Bind == "" {
		if n.config.Name == "" {
			n.config.Name = "standalone"
		}
		n.parts = newPartitions(1)
		n.parts.holdAll()
		n.beat.Store(math.MaxInt64)
		return n.publish(ctx, []*member{{meta: meta{name: n.config.Name}}})
	}
	listener, err := n.listen(n.config.PeerBind)
	if err != nil {
		field := "PeerBind"
		if n.config.PeerBind == anyPort(n.config.Bind) {
			field = "Bind"
		}
		return fmt.Errorf("cluster: Config.%s: %w", field, err)
	}
	secure, err := n.secure()
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("cluster: making a certificate: %w", err)
	}
	n.gossip, err = openGossip(&n.config, n.trust, listener.Addr(), n.now)
	if err != nil {
		_ = listener.Close()
		return err
	}
	n.parts = newPartitions(bootID(n.gossip.boot))
	n.hello.Boot = uint64(n.parts.self)
	n.server = transport.NewServer(answering{n}, n.hello, secure)
	n.once("serving", func() {
		if err := n.server.Serve(listener); err != nil {
			n.config.Log.Error("no longer accepting peers", "error", err)
		}
	})
	if err := n.publish(ctx, n.boots()); err != nil {
		n.shut()
		return err
	}
	return nil
}

// secure makes the node's certificate, if there is a secret to vouch for it, or
// takes the user's.
func (n *Node) secure() (config *tls.Config, err error) {
	switch c := &n.config; {
	case c.TLS != nil:
		n.trust = given{c.TLS}
	case c.Secret != nil:
		if n.trust, err = newIdentity(c.Secret, c.AcceptSecrets...); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	return n.trust.server(), nil
}

// shut closes every socket and waits for every goroutine; the context of the
// goroutines has been cancelled, or none has started.
func (n *Node) shut() {
	if n.gossip != nil {
		n.server.Close()
		n.gossip.shut()
	}
	n.wg.Wait()
	if v := n.view.Load(); v != nil {
		v.close()
	}
}

// now is the node's clock: monotonic nanoseconds since its start.
func (n *Node) now() int64 { return int64(time.Since(n.started)) }

// Name returns the node's stable id.
func (n *Node) Name() string { return n.config.Name }

// GossipAddress returns the host:port at which others reach the node's gossip,
// for use as one of their Seeds; "" if it is standalone.
func (n *Node) GossipAddress() string {
	if n.gossip == nil {
		return ""
	}
	return n.gossip.address
}

const (
	// settleTime is how long the view must have stayed the same to be settled.
	settleTime = 500 * time.Millisecond
	// formTime is how long a node looks for others before it counts as a
	// cluster of one.
	formTime = 3 * time.Second
)

// Ready reports whether the node should be sent traffic. It becomes ready once it
// has joined the cluster, or found nobody to join for 3 s, its view has settled,
// it has tried to connect to everybody in it, and it has all partitions that it
// owns, with what others had counted in them; WaitReady waits for it. From then on it stays ready until
// Close, whatever becomes of its peers, or until a newer replica takes its name:
// the failure of one must not spread to the others.
func (n *Node) Ready() bool {
	if n.closing.Load() || n.gossip == nil {
		return !n.closing.Load()
	}
	v := n.view.Load()
	if v.boot(n.gossip.boot) == nil {
		return false
	}
	if n.settled.Load() {
		return true
	}
	now := n.now()
	if n.formed(now) && now-n.changed.Load() >= int64(settleTime) && v.tried() && n.parts.metrics().Missing == 0 {
		n.settled.Store(true)
	}
	return n.settled.Load()
}

// Close leaves the cluster without losing what was counted, and waits until every
// goroutine that the node started has ended. At first the node is no longer Ready
// but goes on deciding, while it hands its partitions to the others; then it
// answers for a moment those who haven't heard, and tells them farewell. Calls of
// Take that are under way are answered; later ones get ErrClosed.
//
// ctx bounds all this, to at most 10 s; its error says that the others have to find
// out by themselves and lose what a crash would. An already cancelled ctx is such a
// crash. Close can take up to 5 s longer where a connection hangs. Every call waits
// for the first, and returns what that does.
func (n *Node) Close(ctx context.Context) error {
	if !n.closing.CompareAndSwap(false, true) {
		<-n.ended
		return n.left
	}
	defer close(n.ended)
	if n.gossip != nil {
		n.left = n.leave(ctx)
	}
	n.closed.Store(true)
	if n.gossip != nil {
		sleep(ctx, min(n.config.HitTimeout, maxLinger)) // until the calls that are under way have been answered
	}
	n.cancel()
	n.shut()
	return n.left
}

const (
	sweepInterval = 250 * time.Millisecond
	sweepSlots    = 16 << 10 // at each: a million keys take about 25 s
)

// sweep gives back the memory of full buckets, a slice at a time.
func (n *Node) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.store.Sweep(n.now(), sweepSlots)
			n.shares.Sweep(n.now(), sweepSlots)
		}
	}
}
