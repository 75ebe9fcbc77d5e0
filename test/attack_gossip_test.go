package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	gossip "github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/test/simnet"
)

// The kinds of memberlist's messages that are forged here.
const (
	aliveMessage = 4
	deadMessage  = 5
	labelHeader  = 244
)

// forge makes a message of memberlist: MessagePack, a map of field names.
func forge(kind byte, fields ...any) []byte {
	b := []byte{kind, 0x80 | byte(len(fields)/2)}
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(f))), f...)
		case int:
			b = binary.BigEndian.AppendUint32(append(b, 0xce), uint32(f))
		}
	}
	return b
}

func labelled(b []byte, label string) []byte {
	return append(append([]byte{labelHeader, byte(len(label))}, label...), b...)
}

// spy joins the gossip of a fleet, to learn what can be known, and leaves.
func (f *fleet) spy(host *simnet.Host, key []byte) []*gossip.Node {
	f.Helper()
	t, err := host.Gossip(gossipPort)
	if err != nil {
		f.Fatal(err)
	}
	c := gossip.DefaultLANConfig()
	c.Name, c.Label, c.Transport, c.LogOutput, c.SecretKey = "spy", "shoal", t, io.Discard, key
	c.AdvertiseAddr, c.AdvertisePort = host.Addr(), 7946
	list, err := gossip.Create(c)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := list.Join(f.seeds); err != nil {
		f.Fatal(err)
	}
	var nodes []*gossip.Node
	for _, n := range list.Members() {
		if n.Name != "spy" {
			nodes = append(nodes, n)
		}
	}
	_ = list.Leave(time.Second)
	_ = list.Shutdown()
	return nodes
}

// forgeries are what one packet did, in the experiments that came before: throw a
// replica out, bring one in that isn't there, and turn the hits for one elsewhere, all
// with the highest incarnation, which nobody can refute.
func forgeries(victim *gossip.Node, evil net.IP) map[string][]byte {
	vsn := string([]byte{1, 5, 5, 0, 0, 0})
	meta := append([]byte{}, victim.Meta...)
	for i := range meta { // where the victim takes hits: 10.0.0.x becomes 10.9.9.x
		if string(meta[i:min(i+7, len(meta))]) == "10.0.0." {
			meta[i+3], meta[i+5] = '9', '9'
		}
	}
	return map[string][]byte{
		"dead": forge(deadMessage, "Incarnation", math.MaxUint32, "Node", victim.Name, "From", victim.Name),
		"redirected": forge(aliveMessage, "Incarnation", math.MaxUint32, "Node", victim.Name, "Addr", string(victim.Addr.To4()),
			"Port", int(victim.Port), "Meta", string(meta), "Vsn", vsn),
		"invented": forge(aliveMessage, "Incarnation", 1, "Node", "evil/1", "Addr", string(evil.To4()), "Port", 7946, "Meta", "", "Vsn", vsn),
	}
}

// gossipKey is what the replicas derive from their secret.
func gossipKey(secret string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("shoal gossip"))
	return h.Sum(nil)
}

// Forged packets from a host without the secret change nothing, though whoever sends
// them knows everybody's name; and without a secret they can't turn hits elsewhere.
func TestForgedGossip(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cluster.Config)
		key    []byte
		kinds  []string
	}{
		"secret":    {secret(ours), gossipKey(ours), []string{"dead", "redirected", "invented"}},
		"no secret": {func(*cluster.Config) {}, nil, []string{"redirected"}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(f *fleet) {
				f.start(3, tt.change)
				f.ready(formTime, f.replicas...)
				evil := f.net.Host("10.0.9.9")
				known := f.spy(evil, tt.key)
				if len(known) != 3 {
					t.Fatalf("the spy saw %v", known)
				}
				from, err := evil.Gossip(":7000")
				if err != nil {
					t.Fatal(err)
				}
				defer from.Shutdown()
				rule := bucket.MustRule("api", "1000/hour")
				for _, victim := range known {
					forged := forgeries(victim, net.ParseIP(evil.Addr()))
					for _, kind := range tt.kinds {
						for _, r := range f.replicas {
							for _, packet := range [][]byte{labelled(forged[kind], "shoal"), forged[kind], labelled(forged[kind], "other")} {
								if _, err := from.WriteTo(packet, r.host.Addr()+gossipPort); err != nil {
									t.Fatal(err)
								}
							}
						}
						for range 20 {
							time.Sleep(10 * time.Millisecond)
							f.undisturbed(kind, rule)
						}
					}
				}
				time.Sleep(time.Minute)
				f.undisturbed("a minute later", rule)
			})
		})
	}
}

// undisturbed fails the test unless all replicas see each other at their addresses and
// decide for each other.
func (f *fleet) undisturbed(after string, rule *bucket.Rule) {
	f.Helper()
	for i, r := range f.replicas {
		if !r.sees(f.replicas) {
			f.Errorf("%s: %s sees %v", after, r.Name(), r.memberNames())
		}
		if d := r.ask(rule, f.replicas[(i+1)%len(f.replicas)].keyOf(rule, 0), 1); !d.Allowed || d.Degraded {
			f.Errorf("%s: %s: %+v", after, r.Name(), d)
		}
	}
}

// recorder is a network that keeps all gossip packets that come in.
type recorder struct {
	cluster.Network
	mu      *sync.Mutex
	packets *[][]byte
}

func (r recorder) Gossip(bind string) (gossip.Transport, error) {
	t, err := r.Network.Gossip(bind)
	if err != nil {
		return nil, err
	}
	tapped := &tappedGossip{Transport: t, packets: make(chan *gossip.Packet), done: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-t.PacketCh():
				r.mu.Lock()
				*r.packets = append(*r.packets, append([]byte{}, p.Buf...))
				r.mu.Unlock()
				select {
				case tapped.packets <- p:
				case <-tapped.done:
					return
				}
			case <-tapped.done:
				return
			}
		}
	}()
	return tapped, nil
}

type tappedGossip struct {
	gossip.Transport
	packets chan *gossip.Packet
	done    chan struct{}
}

func (t *tappedGossip) PacketCh() <-chan *gossip.Packet { return t.packets }

func (t *tappedGossip) Shutdown() error {
	close(t.done)
	return t.Transport.Shutdown()
}

// All that was gossiped while a replica crashed, came back, and another left, sent
// again by a stranger to everybody: nobody is thrown out, and nobody comes back.
func TestReplayedGossip(t *testing.T) {
	story(t, func(f *fleet) {
		var mu sync.Mutex
		var packets [][]byte
		record := func(c *cluster.Config) { c.Network = recorder{c.Network, &mu, &packets} }
		f.start(4, secret(ours), record)
		f.ready(formTime, f.replicas...)
		crashed, left := f.replicas[1], f.replicas[3]
		crashed.kill()
		f.agree(detectTime, f.but(crashed)...)
		f.replicas[1] = f.startOn(f.net.Host("10.0.0.12"), secret(ours), record, func(c *cluster.Config) { c.Name = crashed.Name() })
		f.ready(formTime, f.replicas...)
		f.close(left)
		f.replicas = f.but(left)
		f.ready(formTime, f.replicas...)

		stranger, err := f.net.Host("10.0.9.9").Gossip(gossipPort)
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Shutdown()
		mu.Lock()
		replay := packets
		mu.Unlock()
		if len(replay) < 50 {
			t.Fatalf("only %d packets", len(replay))
		}
		rule := bucket.MustRule("api", "1000/hour")
		for i, p := range replay {
			for _, r := range f.replicas {
				if _, err := stranger.WriteTo(p, r.host.Addr()+gossipPort); err != nil {
					t.Fatal(err)
				}
			}
			if i%20 == 0 {
				time.Sleep(10 * time.Millisecond)
				f.undisturbed("a replay", rule)
			}
		}
		time.Sleep(10 * time.Second)
		f.undisturbed("later", rule)
	})
}

// Two clusters that were given the same secret and the same seeds by mistake stay
// apart by their names.
func TestAnotherLabelKeepsReplicasApart(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(2, secret(ours))
		f.ready(formTime, f.replicas...)
		r := f.startOne(secret(ours), func(c *cluster.Config) { c.Cluster = "billing" })
		time.Sleep(time.Minute)
		if !f.replicas[0].sees(f.replicas[:2]) || !r.sees([]*replica{r}) {
			t.Errorf("members %v and %v", f.replicas[0].memberNames(), r.memberNames())
		}
	})
}
