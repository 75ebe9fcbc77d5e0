package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip is a node's part in memberlist.
type gossip struct {
	list    *memberlist.Memberlist
	boot    string        // memberlist's name for this boot
	address string        // where others reach this node's gossip
	kick    chan struct{} // of capacity 1: somebody came, went or changed
	joined  atomic.Bool   // somebody else has been met
	door    door          // who may ask this node

	mu     sync.Mutex
	meta   meta
	living map[string]living // by boot: all that memberlist believes alive
}

// living is what gossip has of a boot.
type living struct {
	meta    []byte
	address string // of its gossip
}

// openGossip starts gossiping, alone so far. It settles what only the sockets
// could tell: the address, and the node's name where it is made of that.
func openGossip(c *Config, id trust, peers net.Addr, now func() int64) (*gossip, error) {
	opened, err := c.Network.Gossip(c.Bind)
	if err != nil {
		return nil, fmt.Errorf("cluster: Config.Bind: %w", err)
	}
	transport := newGate(opened)
	ip, port := "", 0
	if c.Advertise != "" {
		host, p, _ := net.SplitHostPort(c.Advertise)
		ip = host
		port, _ = strconv.Atoi(p)
	}
	own, port, err := transport.FinalAdvertiseAddr(ip, port)
	if err != nil {
		_ = transport.Shutdown()
		return nil, fmt.Errorf("cluster: can't tell at which address others reach this replica; set Config.Advertise: %w", err)
	}
	address := net.JoinHostPort(own.String(), strconv.Itoa(port))
	if c.Name == "" {
		c.Name = address
	}
	g := &gossip{
		boot:    c.Name + "/" + rand.Text(),
		address: address,
		kick:    make(chan struct{}, 1),
		door:    door{now: now},
		meta: meta{
			name:    c.Name,
			epoch:   uint64(time.Now().UnixMilli()),
			address: peerAddress(c, peers, own),
		},
		living: map[string]living{},
	}
	if id != nil {
		g.meta.print = id.fingerprint()
	}
	config := gossipConfig(c, g, transport, own.String(), port)
	if c.Secret != nil {
		config.Keyring = keyring(c.Secret, c.AcceptSecrets)
	}
	g.list, err = memberlist.Create(config)
	if err != nil {
		_ = transport.Shutdown()
		return nil, fmt.Errorf("cluster: gossip: %w", err)
	}
	return g, nil
}

// keyring encrypts under a key of the first secret, and decrypts under those of all.
func keyring(secret []byte, others [][]byte) *memberlist.Keyring {
	keys := make([][]byte, len(others))
	for i, s := range others {
		keys[i] = derive(s, "gossip")
	}
	ring, err := memberlist.NewKeyring(keys, derive(secret, "gossip"))
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return ring
}

// peerAddress is where others send their hits: the port on which they are taken,
// at the one IP that PeerBind names or, failing that, the advertised one.
func peerAddress(c *Config, bound net.Addr, advertised net.IP) string {
	host, port, _ := net.SplitHostPort(bound.String())
	if ip := net.ParseIP(host); c.Advertise != "" || ip == nil || ip.IsUnspecified() {
		host = advertised.String()
	}
	return net.JoinHostPort(host, port)
}

// gossipConfig is tuned to notice a crash in 1.2 s (median, with no false deaths
// at up to 5 % loss): probes every 200 ms. Faster ones declare nodes dead that
// are merely busy. News is told three times as often as by default: of the joins
// to a cluster of nine, one in 20 stays unknown to some member until the next
// push/pull, up to 20 s later, at memberlist's 4; one in 2500 at 8, none at 12.
func gossipConfig(c *Config, g *gossip, t memberlist.Transport, ip string, port int) *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name, m.Label = g.boot, c.Cluster
	m.Transport = t
	m.AdvertiseAddr, m.AdvertisePort = ip, port
	m.ProbeInterval, m.ProbeTimeout = 200*time.Millisecond, 100*time.Millisecond
	m.GossipInterval, m.RetransmitMult = 50*time.Millisecond, 12
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = 2 * time.Second
	m.DeadNodeReclaimTime = 5 * time.Second
	m.HandoffQueueDepth = 4096
	m.EnableCompression = false // the messages are tiny
	m.Delegate, m.Events, m.Alive = g, g, &g.door
	m.Logger = gossipLogger(c.Log)
	return m
}

// everybody returns what gossip has of each boot that it believes to be alive.
func (g *gossip) everybody() map[string]living {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.living)
}

// boots returns every living boot of every replica. Others may gossip too; they
// are left out.
func (n *Node) boots() []*member {
	all := n.gossip.everybody()
	boots := make([]*member, 0, len(all))
	for boot, l := range all {
		m, err := decodeMeta(l.meta)
		if err != nil {
			n.config.Log.Warn("ignoring a member whose meta can't be read", "boot", boot, "address", l.address, "error", err)
			continue
		}
		boots = append(boots, &member{meta: m, boot: boot, id: bootID(boot), gossip: l.address})
	}
	return boots
}

// outrank makes this boot newer than every other of its name that the cluster
// knows, whatever the clocks said. Only a node that has just started calls it,
// when it has joined: of two replicas that were given the same name the later one
// wins, and they don't outbid each other.
func (g *gossip) outrank(boots []*member) error {
	g.mu.Lock()
	epoch := g.meta.epoch
	for _, b := range boots {
		if b.name == g.meta.name && b.boot != g.boot && b.epoch >= g.meta.epoch {
			g.meta.epoch = b.epoch + 1
		}
	}
	changed := g.meta.epoch != epoch
	g.mu.Unlock()
	if !changed {
		return nil
	}
	return g.list.UpdateNode(time.Second)
}

// announce tells the others that this boot is leaving: the table no longer names it,
// and its partitions go to those that it does.
func (g *gossip) announce() {
	g.mu.Lock()
	g.meta.leaving = true
	g.mu.Unlock()
	_ = g.list.UpdateNode(time.Millisecond) // it says when nobody has heard yet; gossip goes on
}

// leaveTime bounds how long a leaver waits for its farewell to spread.
const leaveTime = 2 * time.Second

// leave says farewell, so that the others needn't find out.
func (g *gossip) leave(ctx context.Context) error {
	timeout := leaveTime
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if timeout <= 0 || ctx.Err() != nil {
		return fmt.Errorf("cluster: left without telling the others: %w", cmp.Or(context.Cause(ctx), context.DeadlineExceeded))
	}
	if err := g.list.Leave(timeout); err != nil {
		return fmt.Errorf("cluster: leaving: %w", err)
	}
	return nil
}

// health is memberlist's score of itself: 0 is well, and each point above, up to 7,
// has it wait longer before it takes another for dead.
func (g *gossip) health() int { return g.list.GetHealthScore() }

// shut ends gossip. memberlist never fails to, and returns before the last of
// its goroutines has gone.
func (g *gossip) shut() { _ = g.list.Shutdown() }

// note keeps what is said of a boot, nil if it has gone, and wakes the follower.
// It is called under memberlist's lock, so it may do nothing else. And nowhere
// else may a *memberlist.Node be read: memberlist writes to it under that lock,
// also to those that Members and LocalNode return.
func (g *gossip) note(boot string, l *living) {
	g.door.note(boot, l)
	g.mu.Lock()
	if l != nil {
		g.living[boot] = *l
	} else {
		delete(g.living, boot)
	}
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// What follows is what memberlist calls.

func (g *gossip) NotifyJoin(n *memberlist.Node)   { g.note(n.Name, &living{n.Meta, n.Address()}) }
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.note(n.Name, &living{n.Meta, n.Address()}) }
func (g *gossip) NotifyLeave(n *memberlist.Node)  { g.note(n.Name, nil) }

func (g *gossip) NodeMeta(int) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.meta.encode()
}

func (g *gossip) NotifyMsg([]byte)                {}
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }
func (g *gossip) LocalState(bool) []byte          { return nil }
func (g *gossip) MergeRemoteState([]byte, bool)   {}
