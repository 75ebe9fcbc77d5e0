// Package simnet is a network in memory, on which a whole cluster runs in one test:
// real memberlist and real gRPC, with nothing below them but this.
//
// A testing/synctest bubble needs it. There, time jumps to the next timer as soon
// as every goroutine is durably blocked; one that waits for a socket never is, so
// real sockets stop the clock. Here every wait is a sync.Cond or a channel and
// every delay a timer. Outside a bubble the same code runs in real time.
//
// A [Net] has machines, each a [Host] with an IP of its own and the three methods
// that a program needs of a network, with the operating system's errors. Packets
// (gossip) arrive after the latency or not at all: lost at the rate of SetLoss, on
// a cut link, or at a full queue. Streams (gRPC) are two queues of segments that
// show what TCP shows: order, a bounded window, and opening, closing and resetting
// as segments like any other. A cut link holds them back until it heals.
//
// Not modelled: bandwidth, jitter, DNS, a stream's timeout (it is held for ever) and the
// way of acknowledgements (the sender knows at once that the receiver has read).
//
// One lock guards the whole network, since a fault touches many streams and has to
// happen at one instant. Nothing waits while holding it. What happens at the same
// instant has no fixed order: assert bounds, or call synctest.Wait first.
//
// After Kill or Crash the program of that host still has goroutines in the test.
// Close it before Restart, or what it dials then passes for the new program's.
//
// A bubble must end without goroutines, and a stream that nobody closed keeps its
// readers: every test is a leak test. But Shutdown of memberlist returns before its
// goroutines do. So register [Drain] as the first cleanup, which makes it the last
// to run:
//
//	synctest.Test(t, func(t *testing.T) {
//		t.Cleanup(simnet.Drain)
//		n := simnet.New(simnet.Options{})
//		...
//	})
package simnet

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// DefaultLatency is the one-way latency of a Net that was given none: two
// machines in one data centre.
const DefaultLatency = 100 * time.Microsecond

// Options are the settings of a new Net; the zero value is a fast, perfect one.
type Options struct {
	Latency time.Duration // one way; 0 means DefaultLatency
	Seed    uint64        // of the draws that lose packets, see SetLoss
}

// Net is a network: the hosts on it and the state of the links between them.
// All its methods may be called from any goroutine.
type Net struct {
	mu      sync.Mutex // guards all below, and the hosts, listeners and streams
	latency time.Duration
	loss    float64
	rng     *rand.Rand
	hosts   map[netip.Addr]*Host
	cuts    map[link]bool
	mutes   map[link]bool // cut for gossip alone
	hushes  map[link]bool // cut for all but gossip
}

// link is one direction between two hosts.
type link struct{ from, to *Host }

// New returns a network without hosts.
func New(o Options) *Net {
	if o.Latency == 0 {
		o.Latency = DefaultLatency
	}
	return &Net{
		latency: o.Latency,
		rng:     rand.New(rand.NewPCG(o.Seed, 0)),
		hosts:   map[netip.Addr]*Host{},
		cuts:    map[link]bool{},
		mutes:   map[link]bool{},
		hushes:  map[link]bool{},
	}
}

// Drain waits for a minute, in which whatever memberlist left running meets its
// last deadline (TCPTimeout, 10 s by default). In a bubble that takes no time.
func Drain() { time.Sleep(time.Minute) }

// Host returns the host with this IP ("10.0.0.1"), a new one if need be. The same
// address gives the same host, up or down. It panics if addr is no IP.
func (n *Net) Host(addr string) *Host {
	ip := netip.MustParseAddr(addr).Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[ip]
	if h == nil {
		h = newHost(n, ip)
		n.hosts[ip] = h
	}
	return h
}

// SetLatency sets the one-way latency of what is sent from now on; 0 is allowed.
// Segments of a stream never overtake each other when it falls; packets do.
func (n *Net) SetLatency(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = d
}

// SetDelay makes whatever h sends from now on take d longer than the latency, as
// where a machine or its program is slow.
func (h *Host) SetDelay(d time.Duration) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.delay = d
}

// SetLoss sets the probability, from 0 to 1, that a packet is lost. Streams lose
// nothing. The draws come from Options.Seed, in the order of sending.
func (n *Net) SetLoss(p float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = p
}

// losesLocked draws whether the next packet is lost.
func (n *Net) losesLocked() bool { return n.loss > 0 && n.rng.Float64() < n.loss }
