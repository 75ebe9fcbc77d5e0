package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// heapAllowed is how much more of the heap an attack by strangers may cost.
const heapAllowed = 64 << 20

// onLoopback starts two replicas on real sockets, and waits until each decides for the
// other. Nobody gives up soon: what is slow here is the machine.
func onLoopback(t *testing.T, change func(*cluster.Config)) (nodes [2]*cluster.Node) {
	t.Helper()
	var seeds []string
	for i := range nodes {
		c := cluster.Config{Name: fmt.Sprint("node-", i), Bind: "127.0.0.1:0", Seeds: seeds, HitTimeout: 10 * time.Second}
		change(&c)
		n, err := cluster.Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close(context.Background()) })
		nodes[i], seeds = n, []string{n.GossipAddress()}
	}
	for began := time.Now(); !nodes[0].Ready() || !nodes[1].Ready() || len(nodes[0].Members()) != 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the two don't find each other")
		}
	}
	return nodes
}

// peerAddress is where a replica takes hits.
func peerAddress(n *cluster.Node) string {
	for _, m := range n.Members() {
		if m.Self {
			return m.Address
		}
	}
	return ""
}

// besieged runs attacks, all at once, while the first node decides keys of the second,
// the one that is attacked; the test fails if a call does, if the heap grows too far, or
// if the two are apart afterwards. What the attackers need of it themselves counts, too.
func besieged(t *testing.T, nodes [2]*cluster.Node, attacks ...func() error) {
	t.Helper()
	rule := bucket.MustRule("api", "1000000000/hour fixed") // which no replica leases
	key := ""
	for i := 0; key == "" || nodes[0].Owner(rule, key) != nodes[1].Name(); i++ {
		key = fmt.Sprint("key ", i)
	}
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var left atomic.Int64
	left.Store(int64(len(attacks)))
	var wg sync.WaitGroup
	for _, attack := range attacks {
		wg.Go(func() {
			defer left.Add(-1)
			if err := attack(); err != nil {
				t.Error(err)
			}
		})
	}
	most, decided, degraded := uint64(0), 0, 0
	for decided == 0 || left.Load() > 0 {
		d, err := nodes[0].Take(t.Context(), rule, key, 1)
		if d.Degraded {
			degraded++ // the attackers are many, and take the CPU from both
		}
		if err != nil || !d.Allowed {
			t.Fatalf("decision %d: %+v, %v", decided, d, err)
		}
		if decided++; decided%16 == 0 {
			if runtime.ReadMemStats(&now); now.HeapAlloc > before.HeapAlloc+heapAllowed {
				runtime.GC() // else it counts what a collector that is starved hasn't got to
				runtime.ReadMemStats(&now)
			}
			most = max(most, now.HeapAlloc)
		}
	}
	wg.Wait()
	grown := int64(most) - int64(before.HeapAlloc)
	t.Logf("%d decisions meanwhile, %d of them degraded; the heap grew by %d MB", decided, degraded, grown>>20)
	if grown > heapAllowed {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if d, err := nodes[0].Take(t.Context(), rule, key, 1); err == nil && !d.Degraded {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the two have not found each other again")
		}
	}
}

// hold connects, sends what it is given as often as it is taken, and waits until the
// other end has had enough.
func hold(address string, greeting, again []byte, times int) func() error {
	return func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		const patience = time.Minute
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, err = conn.Write(greeting)
		for i := 0; i < times && err == nil; i++ {
			_, err = conn.Write(again)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return fmt.Errorf("%s bears with a stranger for %v", address, patience)
		}
		return nil // however it was ended
	}
}

// 400 connections of a stranger to each port, who begins and doesn't go on, or goes on
// with 19 MiB, of which memberlist would read up to 20 from everybody before it decrypts
// them.
func TestHalfOpenConnections(t *testing.T) {
	nodes := onLoopback(t, secret(ours))
	gossip, peers := nodes[1].GossipAddress(), peerAddress(nodes[1])
	greeting := labelled([]byte{10}, "shoal") // encrypted, it says
	greeting = binary.BigEndian.AppendUint32(greeting, 19<<20)
	junk := make([]byte, 64<<10)
	clientHello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}
	for name, kinds := range map[string][]func() error{
		"gossip, 19 MiB": {hold(gossip, greeting, junk, 304)},
		"gossip, silent": {hold(gossip, nil, nil, 0), hold(gossip, greeting[:3], nil, 0)},
		"hits": {
			hold(peers, nil, nil, 0),
			hold(peers, clientHello, nil, 0),
			hold(peers, clientHello, junk, 100),
			hold(peers, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), junk, 1),
		},
	} {
		t.Run(name, func(t *testing.T) { besieged(t, nodes, many(400, kinds...)...) })
	}
}

// many are n attacks, of each kind as many.
func many(n int, kinds ...func() error) []func() error {
	attacks := make([]func() error, n)
	for i := range attacks {
		attacks[i] = kinds[i%len(kinds)]
	}
	return attacks
}

// pour is hold for somebody who goes after 2 s, or when nothing more is taken.
func pour(address string, greeting, again []byte, times int) func() error {
	return func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = conn.Write(greeting)
		for i := 0; i < times && err == nil; i++ {
			_, err = conn.Write(again)
		}
		if err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
		return nil
	}
}

// h2 makes a frame of HTTP/2.
func h2(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// h2Fields are header fields as they stand in a frame, without compression.
func h2Fields(fields ...string) (b []byte) {
	for i := 0; i < len(fields); i += 2 {
		b = append(b, 0)
		for _, text := range fields[i : i+2] {
			b = append(append(b, byte(len(text))), text...)
		}
	}
	return b
}

// What a host can do to a port without TLS, which takes it for a peer: floods of pings,
// settings, resets and headers without an end, and frames of 5 MB.
func TestFloodsOfHTTP2(t *testing.T) {
	nodes := onLoopback(t, func(*cluster.Config) {})
	address := peerAddress(nodes[1])
	preface := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2(4, 0, 0, nil)...)
	request := h2Fields(":method", "POST", ":scheme", "http", ":path", "/shoal.v1.Hits/Call", "content-type", "application/grpc", "te", "trailers")
	big := append(h2(1, 4, 1, request), h2(0, 0, 1, binary.BigEndian.AppendUint32([]byte{0}, 5<<20))...)
	junk := h2(0, 0, 1, make([]byte, 16<<10))
	var resets []byte
	for i := range uint32(5000) {
		resets = append(append(resets, h2(1, 4, 2*i+1, request)...), h2(3, 0, 2*i+1, []byte{0, 0, 0, 8})...)
	}
	long := h2(9, 0, 1, h2Fields("x-long", strings.Repeat("x", 100), "y", "z"))
	for name, attack := range map[string]func() error{
		"pings":               pour(address, preface, h2(6, 0, 0, make([]byte, 8)), 100_000),
		"settings":            pour(address, preface, h2(4, 0, 0, nil), 100_000),
		"resets":              pour(address, preface, resets, 1),
		"headers without end": pour(address, append(append([]byte{}, preface...), h2(1, 0, 1, request)...), long, 100_000),
		"a message of 5 MB":   pour(address, append(append([]byte{}, preface...), big...), junk, 320),
	} {
		t.Run(name, func(t *testing.T) { besieged(t, nodes, many(20, attack)...) })
	}
}
