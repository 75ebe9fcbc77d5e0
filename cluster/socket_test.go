package cluster

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Real sockets, once: everything else runs on a network in memory. These tests
// are not parallel, so that nobody else's goroutines are counted.

func TestTwoReplicasOnLoopback(t *testing.T) {
	before := runtime.NumGoroutine()
	a := start(t, Config{Name: "a", Bind: "127.0.0.1:0"})
	b := start(t, Config{Bind: "127.0.0.1:0", Seeds: []string{a.GossipAddress()}, HitTimeout: 5 * time.Second})
	if b.Name() != b.GossipAddress() || !strings.HasPrefix(b.Name(), "127.0.0.1:") {
		t.Errorf("the name is made up as %q, at %q", b.Name(), b.GossipAddress())
	}
	eventually(t, 10*time.Second, "both see both", func() bool {
		return len(a.Members()) == 2 && len(b.Members()) == 2 && a.TableHash() == b.TableHash()
	})
	rule := bucket.MustRule("api", "5/hour")
	for _, key := range []string{keyOf(a, rule), keyOf(b, rule)} {
		for i := range 6 {
			d, err := b.Take(t.Context(), rule, key, 1)
			if err != nil || d.Degraded || d.Allowed != (i < 5) {
				t.Errorf("call %d for %q: %+v, %v", i, key, d, err)
			}
		}
	}
	var addresses []string
	for _, m := range a.Members() {
		addresses = append(addresses, m.Address)
	}
	addresses = append(addresses, a.GossipAddress(), b.GossipAddress())

	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	eventually(t, 5*time.Second, "the other has heard of it", func() bool { return len(a.Members()) == 1 })
	for range 2 {
		if err := a.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("still in use: %v", err)
			continue
		}
		_ = l.Close()
	}
	eventually(t, 5*time.Second, "every goroutine has ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAPortInUse(t *testing.T) {
	before := runtime.NumGoroutine()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	for field, c := range map[string]Config{
		"Bind":     {Bind: taken.Addr().String(), PeerBind: free.Addr().String()},
		"PeerBind": {Bind: free.Addr().String(), PeerBind: taken.Addr().String()},
	} {
		_, err := Start(t.Context(), c)
		if err == nil || !strings.HasPrefix(err.Error(), "cluster: Config."+field+": ") ||
			!strings.Contains(err.Error(), taken.Addr().String()) && !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s in use: %v", field, err)
		}
		l, err := net.Listen("tcp", free.Addr().String())
		if err != nil {
			t.Errorf("%s in use: a failed start keeps the other port: %v", field, err)
			continue
		}
		_ = l.Close()
	}
	eventually(t, 5*time.Second, "every goroutine has ended", func() bool { return runtime.NumGoroutine() <= before })
}

// Seeds that are on this host, or are none, don't tell how others reach it.
func TestTowardsNoSeedElsewhere(t *testing.T) {
	for _, seeds := range [][]string{nil, {"127.0.0.1:7946", "[::1]:7946"}, {"no..name:7946", "10.0.0.1"}} {
		if ip := towards(seeds); ip != nil {
			t.Errorf("towards %q from %v", seeds, ip)
		}
	}
}
