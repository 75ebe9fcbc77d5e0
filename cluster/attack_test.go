package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
	"github.com/shoal-dev/shoal/test/simnet"
	"github.com/shoal-dev/shoal/transport"
)

const attackSecret = "the secret of this cluster"

// secretNodes starts some nodes that share a secret.
func secretNodes(t *testing.T, count int, f func(t *testing.T, net *simnet.Net, ns []*Node)) {
	t.Helper()
	bubble(t, func(t *testing.T, net *simnet.Net) {
		var ns []*Node
		for i := range count {
			c := on(net, fmt.Sprint("10.0.0.", i+1), string(rune('a'+i)))
			c.Secret, c.Insecure = []byte(attackSecret), false
			ns = append(ns, start(t, c))
		}
		eventually(t, 3*time.Second, "all are ready", func() bool {
			for _, n := range ns {
				if len(n.Members()) != count || !n.Ready() {
					return false
				}
			}
			return true
		})
		f(t, net, ns)
	})
}

// Whoever knows the secret but isn't a member, or says that he is another one, is
// shown the door; a member isn't, and neither is one whom gossip suspects.
func TestTheDoor(t *testing.T) {
	secretNodes(t, 2, func(t *testing.T, sim *simnet.Net, ns []*Node) {
		n, other := ns[0], ns[1]
		stranger, err := newIdentity([]byte(attackSecret))
		if err != nil {
			t.Fatal(err)
		}
		host := sim.Host("10.0.9.9")
		self := n.view.Load().byID[n.parts.self]
		call := func(id trust, boot handoff.Boot) error {
			hello := other.hello
			hello.Boot = uint64(boot)
			p := transport.Dial(transport.PeerConfig{
				Address: self.address, TLS: id.client(self.print), Now: other.now, Hello: hello,
				Dial: func(ctx context.Context, a string) (net.Conn, error) { return host.Dial(ctx, a) },
			})
			defer p.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := p.Call(ctx, callSlots, nil)
			return err
		}
		refused := func(what string, err, want error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want.Error()) {
				t.Errorf("%s: %v; want %v", what, err, want)
			}
		}
		refused("a stranger", call(stranger, 99), errNoMember)
		refused("a stranger in a member's name", call(stranger, other.parts.self), errForeign)
		refused("a member in the name of who answers", call(other.trust, n.parts.self), errForeign)
		if err := call(other.trust, other.parts.self); err != nil {
			t.Errorf("a member: %v", err)
		}
		n.gossip.door.note(other.gossip.boot, nil) // as if it were dead
		if err := call(other.trust, other.parts.self); err != nil {
			t.Errorf("a member that is suspected: %v", err)
		}
		n.gossip.door.mu.Lock()
		n.gossip.door.known[other.parts.self].gone -= int64(goneTime) + 10*int64(time.Second) // long ago
		n.gossip.door.mu.Unlock()
		n.gossip.door.note("somebody", nil)
		refused("a boot of long ago", call(other.trust, other.parts.self), errNoMember)
	})
}

// What a boot has said of itself holds for as long as it lives.
func TestABootCantBeMadeAnother(t *testing.T) {
	secretNodes(t, 2, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		n, other := ns[0], ns[1]
		m := *n.view.Load().byID[other.parts.self]
		for what, change := range map[string]func(*meta){
			"address":     func(m *meta) { m.address = "10.0.9.9:1" },
			"certificate": func(m *meta) { m.print = strings.Repeat("x", 32) },
			"name":        func(m *meta) { m.name = "a" },
		} {
			forged := m.meta
			change(&forged)
			if err := n.gossip.door.NotifyAlive(alive(m.boot, forged)); err != errChanged {
				t.Errorf("%s: %v", what, err)
			}
		}
		leaving := m.meta
		leaving.leaving = true
		if err := n.gossip.door.NotifyAlive(alive(m.boot, leaving)); err != nil {
			t.Errorf("it says that it leaves: %v", err)
		}
		for i := range maxBoots {
			n.gossip.door.note(fmt.Sprint("invented ", i), &living{meta: leaving.encode()})
		}
		if err := n.gossip.door.NotifyAlive(alive("one more", leaving)); err != errCrowd {
			t.Errorf("%v", err)
		}
	})
}

// A member gone mad sends another the token of a partition that a third one holds, and
// claims it, and copies it, with versions beyond all bounds: nobody takes it, nobody
// believes the versions, and the token moves as ever.
func TestHostileTransfer(t *testing.T) {
	secretNodes(t, 3, func(t *testing.T, _ *simnet.Net, ns []*Node) {
		mad, victim, holder := ns[0], ns[1], ns[2]
		rule := bucket.MustRule("api", "5/day", bucket.WithFailurePolicy(bucket.Deny))
		key := keyOf(holder, rule)
		ask := func(n *Node, want bool) {
			t.Helper()
			if d, err := n.Take(t.Context(), rule, key, 1); err != nil || d.Allowed != want || d.Degraded {
				t.Errorf("%s: %+v, %v; want %v", n.Name(), d, err, want)
			}
		}
		for range 5 {
			ask(victim, true)
		}
		time.Sleep(unsettledTime)
		p := ring.Partition(holder.store.Digest(rule, key).Hi)
		send := func(to *Node, m handoff.Message) []byte {
			m.From, m.To = mad.parts.self, to.parts.self
			batch := binary.BigEndian.AppendUint64(nil, uint64(to.parts.self))
			answer, _ := callFor(t.Context(), mad.view.Load().byID[to.parts.self].peer, callMoves, appendMove(batch, move{Message: m, partition: p}))
			return answer
		}
		hash := mad.view.Load().hash
		for _, counter := range []uint64{2, 1000, math.MaxUint64} {
			v := handoff.Version{Counter: counter, Boot: victim.parts.self}
			send(victim, handoff.Message{Kind: handoff.Transfer, Version: v})
			send(victim, handoff.Message{Kind: handoff.Claim, Version: handoff.Version{Counter: counter, Boot: mad.parts.self}, View: hash})
			send(holder, handoff.Message{Kind: handoff.Claim, Version: handoff.Version{Counter: counter, Boot: mad.parts.self}, View: hash})
			send(holder, handoff.Message{Kind: handoff.Refuse, Fence: v})
			_, _ = callFor(t.Context(), mad.view.Load().byID[victim.parts.self].peer, callChanges, appendChanges(nil, p, v, nil))
			if victim.parts.holds(p) || !holder.parts.holds(p) {
				t.Fatalf("counter %d: the token has moved", counter)
			}
			ask(victim, false)
			ask(holder, false)
		}
		for _, n := range ns {
			if v, _ := n.parts.term(p); v.Counter > 1<<40 {
				t.Errorf("%s believes version %d", n.Name(), v.Counter)
			}
		}
		if declined := victim.Metrics().Handoff.Declined; declined < 4 {
			t.Errorf("only %d were turned down", declined)
		}
		if err := holder.Close(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, 5*time.Second, "the others have its partitions", func() bool {
			return mad.parts.metrics().Held+victim.parts.metrics().Held == ring.Partitions
		})
		ask(victim, false)
		ask(mad, false)
	})
}

// alive is what memberlist says of a boot.
func alive(boot string, m meta) *memberlist.Node {
	return &memberlist.Node{Name: boot, Meta: m.encode()}
}
