package cluster

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstJoinInterval = 100 * time.Millisecond // until somebody is met, doubling
	lastJoinInterval  = time.Second            // up to this
	lookInterval      = 5 * time.Second        // how often missing addresses are joined
	visitInterval     = 30 * time.Second       // how often a random seed is, missing or not
	rememberTime      = time.Hour              // how long the address of a lost member is kept
	joinAtOnce        = 4                      // of the missing ones, in one round
	resolveTime       = 2 * time.Second
)

// reconcile brings the cluster together and keeps it so. memberlist alone never
// heals a split: once each side has given up the other, nobody calls. So missing
// addresses, those of the seeds and of lost members, are joined for ever; and
// now and then a random seed that isn't missing is, as others may not see this
// node although it sees them.
func (n *Node) reconcile(ctx context.Context) {
	r := reconciler{node: n, seen: map[string]int64{}, differ: map[string]bool{}}
	interval := firstJoinInterval
	for ctx.Err() == nil {
		r.round(ctx)
		if n.gossip.joined.Load() {
			interval = lookInterval
		}
		sleep(ctx, interval*4/5+rand.N(interval*2/5))
		interval = min(2*interval, lastJoinInterval)
	}
}

// reconciler is what reconcile remembers between rounds.
type reconciler struct {
	node  *Node
	alive map[string]bool  // gossip addresses of the members
	seen  map[string]int64 // when there last was a member at an address
	visit int64            // when to join a random seed again
	known bool             // a round has joined somebody

	// differ are the boots that saw other members than this node in the last round.
	differ     map[string]bool
	complained bool
}

// round looks who is there, and joins whom it misses, all at once: an address
// where nothing answers takes memberlist's TCPTimeout.
func (r *reconciler) round(ctx context.Context) {
	g, now := r.node.gossip, r.node.now()
	r.look(now)
	seeds := slices.DeleteFunc(resolve(ctx, r.node.config.Seeds), func(a string) bool { return a == g.address })
	if ctx.Err() != nil {
		return
	}
	var wg sync.WaitGroup
	var met atomic.Bool
	for _, address := range append(r.missing(seeds, now), r.disagreeing()...) {
		wg.Go(func() {
			r.node.survives("joining", func() {
				if _, err := g.list.Join([]string{address}); err != nil {
					r.node.config.Log.Debug("can't join", "address", address, "error", err)
					return
				}
				r.arrived(now)
				met.Store(true)
			})
		})
	}
	wg.Wait()
	r.known = r.known || met.Load()
	r.complain(seeds, now)
}

// arrived is called after each successful join. In the first round that has one,
// if it comes soon after the start, this is a new boot.
func (r *reconciler) arrived(now int64) {
	n := r.node
	if r.known || now > int64(formTime) {
		return
	}
	if err := n.gossip.outrank(n.boots()); err != nil {
		n.config.Log.Warn("telling the others that this boot is the newest", "error", err)
	}
}

// complain says once that nobody was found where somebody should be: that may
// be a typing error, and looks like a cluster of one.
func (r *reconciler) complain(seeds []string, now int64) {
	n := r.node
	if r.complained || n.gossip.joined.Load() || now < int64(formTime) || len(n.config.Seeds) == 0 {
		return
	}
	r.complained = true
	n.config.Log.Warn("found no other replica so far, so this one counts alone; still looking. Those with another Secret or Cluster don't answer", "seeds", n.config.Seeds, "addresses", seeds)
}

// look notes who is there at now, and forgets those who haven't been for long.
func (r *reconciler) look(now int64) {
	r.alive = map[string]bool{}
	for _, l := range r.node.gossip.everybody() {
		r.alive[l.address] = true
		r.seen[l.address] = now
	}
	maps.DeleteFunc(r.seen, func(_ string, last int64) bool { return now-last > int64(rememberTime) })
}

// missing returns the addresses to join in this round: some seeds that aren't
// members, one lost member, and at times a seed that may well be one.
func (r *reconciler) missing(seeds []string, now int64) []string {
	rand.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
	var join []string
	for _, a := range seeds {
		if !r.alive[a] && len(join) < joinAtOnce {
			join = append(join, a)
		}
	}
	for a := range r.seen { // in random order
		if !r.alive[a] {
			join = append(join, a)
			break
		}
	}
	if len(seeds) > 0 && now >= r.visit {
		join = append(join, seeds[0])
		r.visit = now + int64(visitInterval)
	}
	slices.Sort(join)
	return slices.Compact(join)
}

// disagreeing returns the addresses of the members that have seen the cluster
// otherwise for two rounds: what one of the two has missed, joining tells.
func (r *reconciler) disagreeing() (addresses []string) {
	v, differed := r.node.view.Load(), r.differ
	r.differ = map[string]bool{}
	for _, m := range v.members {
		if !m.alive() || v.agrees(m) {
			continue
		}
		r.differ[m.boot] = true
		if differed[m.boot] {
			r.node.config.Log.Warn("a member sees the cluster otherwise; joining it again", "peer", m.name)
			addresses = append(addresses, m.gossip)
		}
	}
	return addresses
}

// resolve returns the addresses, IP:port, that the seeds stand for now. A name
// that can't be resolved stands for none until it can.
func resolve(ctx context.Context, seeds []string) []string {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	found := make([][]string, len(seeds))
	var wg sync.WaitGroup
	for i, seed := range seeds {
		wg.Go(func() { found[i] = resolveSeed(ctx, seed) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

func resolveSeed(ctx context.Context, seed string) (addresses []string) {
	host, port, _ := net.SplitHostPort(seed)
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else {
		ips, _ = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	for _, ip := range ips {
		addresses = append(addresses, net.JoinHostPort(ip.Unmap().String(), port))
	}
	return addresses
}
