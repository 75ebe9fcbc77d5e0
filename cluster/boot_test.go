package cluster

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/test/simnet"
)

func (g *gossip) epoch() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.meta.epoch
}

// pretend makes a node say that its clock showed another time at its boot.
func (n *Node) pretend(t *testing.T, epoch uint64) {
	t.Helper()
	n.gossip.mu.Lock()
	n.gossip.meta.epoch = epoch
	n.gossip.mu.Unlock()
	if err := n.gossip.list.UpdateNode(time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestOutrank(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		c := on(net, "10.0.0.1", "a")
		n := start(t, c)
		own := n.gossip.epoch()
		self := &member{meta: meta{name: "a", epoch: own}, boot: n.gossip.boot}
		for _, tt := range []struct {
			name   string
			others []*member
			want   uint64
		}{
			{"nobody else", nil, own},
			{"an older boot", []*member{boot("a", own-1, "1")}, own},
			{"another name", []*member{boot("b", own+9, "1")}, own},
			{"a boot of the same time", []*member{boot("a", own, "1")}, own + 1},
			{"a boot with a clock ahead", []*member{boot("a", own+100, "1")}, own + 101},
			{"the highest of many", []*member{boot("a", own+200, "1"), boot("b", own+400, "2"), boot("a", own+300, "3"), boot("a", own+250, "4")}, own + 301},
			{"once more", []*member{boot("a", own+300, "3")}, own + 301},
		} {
			if err := n.gossip.outrank(append(tt.others, self)); err != nil {
				t.Fatal(err)
			}
			if got := n.gossip.epoch(); got != tt.want {
				t.Errorf("%s: epoch %d, want %d", tt.name, got-own, tt.want-own)
			}
			time.Sleep(time.Second)
			if v := n.view.Load(); v.members[0].epoch != tt.want {
				t.Errorf("%s: gossip has epoch %d, want %d", tt.name, v.members[0].epoch-own, tt.want-own)
			}
		}
	})
}

// The newer boot of a name wins whatever the clocks said: here the former's was
// years ahead.
func TestABootWithAnOlderClockReplacesTheFormer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(*simnet.Host)
		seeds []string // of the newer boot
	}{
		{"which still runs", func(*simnet.Host) {}, []string{"10.0.0.1:7946"}},
		{"which crashed", (*simnet.Host).Crash, []string{"10.0.0.1:7946"}},
		{"with a seed that doesn't answer", (*simnet.Host).Crash, []string{"10.0.0.1:7946", "10.0.0.99:7946"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, net *simnet.Net) {
				a, former, c := start(t, on(net, "10.0.0.1", "a")), start(t, on(net, "10.0.0.2", "b")), start(t, on(net, "10.0.0.3", "c"))
				ahead := former.gossip.epoch() + uint64(5*365*24*time.Hour/time.Millisecond)
				former.pretend(t, ahead)
				eventually(t, time.Second, "the others know the former", func() bool {
					return a.view.Load().epochOf("b") == ahead && c.view.Load().epochOf("b") == ahead
				})
				tt.end(net.Host("10.0.0.2"))
				began := time.Now()
				config := on(net, "10.0.0.4", "b")
				config.Seeds = tt.seeds
				latter := start(t, config)
				eventually(t, time.Second, "all follow the latter", func() bool {
					for _, n := range []*Node{a, c, latter} {
						if n.memberNames() != "a b c" || n.view.Load().boot(latter.gossip.boot) == nil {
							return false
						}
					}
					return true
				})
				t.Logf("replaced after %v", time.Since(began))
				time.Sleep(10 * time.Second)
				for _, n := range []*Node{a, c, latter} {
					if n.view.Load().boot(latter.gossip.boot) == nil || !n.Ready() {
						t.Errorf("later %s sees %+v; ready: %v", n.Name(), n.Members(), n.Ready())
					}
				}
				if got := latter.gossip.epoch(); got != ahead+1 {
					t.Errorf("the epoch has become %d, want %d: they outbid each other", got, ahead+1)
				}
			})
		})
	}
}

func (v *view) epochOf(name string) uint64 {
	for _, m := range v.members {
		if m.name == name {
			return m.epoch
		}
	}
	return 0
}

func TestAdvertise(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		n := start(t, Config{Bind: ":7946", PeerBind: ":7947", Advertise: "192.0.2.1:7000", Insecure: true, Network: net.Host("10.0.0.1")})
		if n.Name() != "192.0.2.1:7000" || n.GossipAddress() != n.Name() || n.Members()[0].Address != "192.0.2.1:7947" {
			t.Errorf("%q advertises %q and %+v", n.Name(), n.GossipAddress(), n.Members())
		}
	})
}

// A host that can't tell its address: the error says what to set, and nothing is
// left open.
func TestNoAddressToAdvertise(t *testing.T) {
	bubble(t, func(t *testing.T, net *simnet.Net) {
		host := net.Host("10.0.0.1")
		c := Config{Bind: ":7946", PeerBind: ":7947", Insecure: true, Network: lost{host}}
		if n, err := Start(t.Context(), c); n != nil || !errors.Is(err, errLost) || !strings.Contains(err.Error(), "set Config.Advertise") {
			t.Errorf("got %v, %v", n, err)
		}
		c.Network = host
		start(t, c) // the ports are free
	})
}

var errLost = errors.New("no private address found")

// lost is a host that doesn't know where it is.
type lost struct{ *simnet.Host }

func (l lost) Gossip(bind string) (memberlist.Transport, error) {
	t, err := l.Host.Gossip(bind)
	return lostTransport{t}, err
}

type lostTransport struct{ memberlist.Transport }

func (lostTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) { return nil, 0, errLost }
