package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/shoal-dev/shoal/bucket"
)

func TestConfigFaults(t *testing.T) {
	long := strings.Repeat("x", 65)
	const reachable = "reachable from other hosts; set Secret"
	const alone = "a standalone one has no others; set Bind as well, for example to \"0.0.0.0:7946\", or leave it out"
	usable := good(t, func(*x509.Certificate) {})
	for _, tt := range []struct {
		config Config
		want   []string // of the faults, in order: the field and a part of the remedy
	}{
		{Config{Name: long}, []string{"Name", "at most 64 bytes"}},
		{Config{Name: "pod 1"}, []string{"Name", "without spaces"}},
		{Config{Name: "größe"}, []string{"Name", "printable ASCII"}},
		{Config{Name: "a\x7f"}, []string{"Name", "printable ASCII"}},
		{Config{Cluster: long}, []string{"Cluster", "at most 64 bytes"}},
		{Config{Cluster: "a\nb"}, []string{"Cluster", "printable ASCII"}},
		{Config{DigestKey: []byte("fifteen bytes..")}, []string{"DigestKey", "has 15 bytes; give at least 16 random ones, or nil"}},
		{Config{DigestKey: []byte{}}, []string{"DigestKey", "or nil"}},
		{Config{MaxMemory: 1<<20 - 1}, []string{"MaxMemory", "1048576"}},
		{Config{MaxMemory: -1}, []string{"MaxMemory", "0 for 268435456"}},
		{Config{HitTimeout: 5*time.Millisecond - 1}, []string{"HitTimeout", "between 5ms and 10s"}},
		{Config{HitTimeout: 10*time.Second + 1}, []string{"HitTimeout", "between 5ms and 10s"}},
		{Config{HitTimeout: -time.Second}, []string{"HitTimeout", "between 5ms and 10s"}},
		{Config{Seeds: []string{"10.0.0.1:7946"}}, []string{"Seeds", "set Bind as well"}},

		{Config{Bind: "7946"}, []string{"Bind", "is not host:port"}},
		{Config{Bind: "127.0.0.1"}, []string{"Bind", "is not host:port"}},
		{Config{Bind: "::1:7946"}, []string{"Bind", "is not host:port"}},
		{Config{Bind: "[::1]"}, []string{"Bind", "is not host:port"}},
		{Config{Bind: "127.0.0.1:"}, []string{"Bind", "a number from 0 to 65535"}},
		{Config{Bind: "127.0.0.1:gossip"}, []string{"Bind", "a number from 0 to 65535"}},
		{Config{Bind: "127.0.0.1:65536"}, []string{"Bind", "a number from 0 to 65535"}},
		{Config{Bind: "127.0.0.1:-1"}, []string{"Bind", "a number from 0 to 65535"}},
		{Config{Bind: "127.0.0.1,127.0.0.2:7946"}, []string{"Bind", "can't be a name or an IP"}},
		{Config{Bind: "0.0.0.0:7946"}, []string{"Bind", reachable}},
		{Config{Bind: ":7946"}, []string{"Bind", "or Insecure if"}},
		{Config{Bind: "127.0.0.1:7946", Advertise: "192.0.2.1:7946"}, []string{"Advertise", "set Secret"}},
		{Config{Bind: "127.0.0.1:7946", Secret: []byte("fifteen bytes..")}, []string{"Secret", "at least 16"}},
		{Config{Bind: "[::]:7946"}, []string{"Bind", "bind to loopback"}},
		{Config{Bind: "10.0.0.1:7946"}, []string{"Bind", reachable}},
		{Config{Bind: "[fe80::1%eth0]:7946"}, []string{"Bind", reachable}},
		{Config{Bind: "host.internal:7946"}, []string{"Bind", reachable}},
		{Config{Bind: "127.0.0.1:0", PeerBind: "127.0.0.1"}, []string{"PeerBind", "is not host:port"}},
		{Config{Bind: "127.0.0.1:0", PeerBind: ":7947"}, []string{"PeerBind", reachable}},
		{Config{Bind: "127.0.0.1:0", PeerBind: "127.0.0.1:99999"}, []string{"PeerBind", "a number from 0 to 65535"}},
		{Config{Bind: "0.0.0.0:7946", PeerBind: "0.0.0.0:7947"}, []string{"Bind", reachable, "PeerBind", reachable}},
		{Config{Bind: "127.0.0.1:0", Advertise: "10.0.0.1"}, []string{"Advertise", "is not an IP:port that others can reach"}},
		{Config{Bind: "127.0.0.1:0", Advertise: "host:7946"}, []string{"Advertise", "is not an IP:port"}},
		{Config{Bind: "127.0.0.1:0", Advertise: "0.0.0.0:7946"}, []string{"Advertise", "that others can reach"}},
		{Config{Bind: "127.0.0.1:0", Advertise: "[::]:7946"}, []string{"Advertise", "that others can reach"}},
		{Config{Bind: "127.0.0.1:0", Advertise: "10.0.0.1:0"}, []string{"Advertise", "that others can reach"}},

		{Config{Bind: "127.0.0.1:7946", Seeds: []string{"a", "b:http"}}, []string{"Seeds[1]", "a number from 0 to 65535"}},
		{Config{Bind: "127.0.0.1:7946", Seeds: []string{"a b:7946"}}, []string{"Seeds[0]", "can't be a name or an IP"}},
		{Config{Bind: "127.0.0.1:7946", Seeds: []string{"http://a:7946"}}, []string{"Seeds[0]", "\"http://a:7946\" is not host:port"}},
		{Config{Bind: "127.0.0.1:7946", Seeds: []string{""}}, []string{"Seeds[0]", "is not host:port"}},
		{Config{Bind: "127.0.0.1:0", Seeds: []string{"a:1", "a"}}, []string{"Seeds[1]", "a host alone where Bind has a port"}},

		{Config{Bind: "127.0.0.1:0", AcceptSecrets: [][]byte{make([]byte, 16)}}, []string{"AcceptSecrets", "no Secret that it could follow"}},
		{Config{Bind: "127.0.0.1:0", Secret: make([]byte, 16), AcceptSecrets: [][]byte{make([]byte, 16)}}, []string{"DigestKey", "set it to what Secret was before the change"}},
		{Config{Bind: "127.0.0.1:0", Secret: make([]byte, 16), DigestKey: make([]byte, 16), AcceptSecrets: [][]byte{make([]byte, 16), nil}}, []string{"AcceptSecrets[1]", "has 0 bytes; give at least 16"}},

		{Config{Secret: make([]byte, 16)}, []string{"Secret", alone}},
		{Config{Secret: make([]byte, 16), DigestKey: make([]byte, 16), AcceptSecrets: [][]byte{make([]byte, 16)}}, []string{"Secret", alone, "AcceptSecrets", alone}},
		{Config{TLS: usable}, []string{"TLS", alone}},
		{Config{Name: " ", Secret: make([]byte, 15), TLS: usable, Seeds: []string{"a"}, PeerBind: "x"}, []string{"Name", "", "Secret", "at least 16", "Seeds", "", "Secret", alone, "TLS", alone, "Bind", "PeerBind"}},

		{Config{ // everything at once
			Name: " ", Cluster: "ü", DigestKey: make([]byte, 3), HitTimeout: 1, Bind: "x", PeerBind: "y", Advertise: "z", Seeds: []string{"a/b:1"},
		}, []string{"Name", "", "Cluster", "", "DigestKey", "", "HitTimeout", "", "Bind", "", "PeerBind", "", "Advertise", "", "Seeds[0]", ""}},
		{Config{Name: " ", Seeds: []string{"a"}}, []string{"Name", "", "Seeds", ""}},
	} {
		n, err := Start(t.Context(), tt.config)
		if err == nil {
			t.Errorf("%+v was accepted", tt.config)
			_ = n.Close(t.Context())
			continue
		}
		faults := strings.Split(err.Error(), "\n")
		good := len(faults) == len(tt.want)/2
		for i := 0; good && i < len(faults); i++ {
			good = strings.HasPrefix(faults[i], "cluster: Config."+tt.want[2*i]+": ") && strings.Contains(faults[i], tt.want[2*i+1])
		}
		if !good {
			t.Errorf("%+v:\n%v\nwant %q", tt.config, err, tt.want)
		}
	}
}

func TestConfigsWithoutFault(t *testing.T) {
	for _, c := range []Config{
		{},
		{Name: strings.Repeat("x", 64), Cluster: "our api, in blue", DigestKey: make([]byte, 16)},
		{HitTimeout: 5 * time.Millisecond},
		{HitTimeout: 10 * time.Second},
		{Bind: "127.0.0.1:0"},
		{Bind: "127.1.2.3:7946", PeerBind: "localhost:7947"},
		{Bind: "localhost:7946"},
		{Bind: "[::1]:7946", Seeds: []string{"::1"}},
		{Bind: "[::ffff:127.0.0.1]:7946"},
		{Bind: "0.0.0.0:7946", Insecure: true},
		{Bind: "0.0.0.0:7946", Secret: []byte("sixteen bytes ..")},
		{Bind: ":7946", PeerBind: "10.0.0.1:7947", Advertise: "10.0.0.1:7946", Insecure: true},
		{Bind: "[::]:7946", Advertise: "[fd00::1]:7946", Insecure: true},
		{Bind: "host.internal:7946", Insecure: true},
	} {
		if err := c.withDefaults().validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{
		Bind:  "0.0.0.0:7946",
		Seeds: []string{"a", "a:1", "10.0.0.1", "fd00::1", "[fd00::1]", "[fd00::1]:2"},
	}.withDefaults()
	want := []string{"a:7946", "a:1", "10.0.0.1:7946", "[fd00::1]:7946", "[fd00::1]:7946", "[fd00::1]:2"}
	if !slices.Equal(c.Seeds, want) {
		t.Errorf("seeds %q, want %q", c.Seeds, want)
	}
	if c.PeerBind != "0.0.0.0:0" || c.Cluster != "shoal" || c.HitTimeout != 50*time.Millisecond || c.Log == nil || c.Network == nil {
		t.Errorf("%+v", c)
	}
	if p := (Config{Bind: "[::1]:7946"}).withDefaults().PeerBind; p != "[::1]:0" {
		t.Errorf("PeerBind is %q", p)
	}
	given := Config{Seeds: []string{"a"}, Bind: "127.0.0.1:1", PeerBind: "b", Cluster: "c", HitTimeout: 4, Log: slog.Default(), Network: noNetwork{t}}
	kept := given.withDefaults()
	if kept.PeerBind != "b" || kept.Cluster != "c" || kept.HitTimeout != 4 || kept.Log.Handler().(throttle).Handler != given.Log.Handler() || kept.Network != given.Network {
		t.Errorf("%+v", kept)
	}
	if given.Seeds[0] != "a" {
		t.Error("the caller's seeds were changed")
	}
}

func TestDigestKeysAreApart(t *testing.T) {
	long := bytes.Repeat([]byte{'k'}, 1000)
	known := map[bucket.DigestKey]int{}
	for i, c := range []Config{
		{Cluster: "a"}, {Cluster: "b"},
		{DigestKey: long[:16]}, {DigestKey: long[:17]}, {DigestKey: long}, {DigestKey: []byte("shoal cluster name\x00a")},
	} {
		k := c.digestKey()
		if other, taken := known[k]; taken {
			t.Errorf("configurations %d and %d have the same key", i, other)
		}
		known[k] = i
	}
	if (Config{Secret: long}).digestKey() != (Config{Secret: long[:20], DigestKey: long}).digestKey() {
		t.Error("a former secret given as DigestKey doesn't keep the digests")
	}
	if (Config{Cluster: "a", DigestKey: long}).digestKey() != (Config{Cluster: "b", DigestKey: long}).digestKey() {
		t.Error("the cluster's name is part of a given key: it can't be changed then")
	}
}

// noNetwork fails the test when a socket is asked for.
type noNetwork struct{ *testing.T }

func (n noNetwork) Gossip(bind string) (memberlist.Transport, error) {
	n.Errorf("Gossip(%q)", bind)
	return nil, net.ErrClosed
}

func (n noNetwork) Listen(bind string) (net.Listener, error) {
	n.Errorf("Listen(%q)", bind)
	return nil, net.ErrClosed
}

func (n noNetwork) Dial(_ context.Context, address string) (net.Conn, error) {
	n.Errorf("Dial(%q)", address)
	return nil, net.ErrClosed
}

func TestTheZeroConfigNeedsNoSocket(t *testing.T) {
	n := start(t, Config{Network: noNetwork{t}})
	rule := bucket.MustRule("api", "2/hour")
	for i := range 3 {
		d, err := n.Take(t.Context(), rule, "alice", 1)
		if err != nil || d.Degraded || d.Allowed != (i < 2) {
			t.Errorf("call %d: %+v, %v", i, d, err)
		}
	}
	if m := n.Members(); len(m) != 1 || m[0] != (Member{Name: "standalone", Partitions: 4096, Reachable: true, Agrees: true, Self: true}) {
		t.Errorf("members %+v", m)
	}
	if !n.Ready() || n.Name() != "standalone" || n.GossipAddress() != "" || n.Owner(rule, "alice") != "standalone" || n.TableHash() == 0 {
		t.Errorf("ready %v, name %q, at %q, owner %q, table %x", n.Ready(), n.Name(), n.GossipAddress(), n.Owner(rule, "alice"), n.TableHash())
	}
	if err := n.Close(t.Context()); err != nil || n.Ready() {
		t.Errorf("Close: %v; ready afterwards: %v", err, n.Ready())
	}
}

// start starts a node that is closed with the test.
func start(t *testing.T, c Config) *Node {
	t.Helper()
	n, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(context.Background()) })
	return n
}
