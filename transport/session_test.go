package transport

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// still is a peer without goroutines: nothing connects it, nothing sweeps.
func still() *Peer {
	began := time.Now()
	return newPeer(PeerConfig{Now: func() int64 { return int64(time.Since(began)) }})
}

// unconnected is what Dial returns, but nothing connects it.
func unconnected(t *testing.T) *Peer {
	t.Helper()
	return still().swept(t)
}

// swept starts the peer's sweeper.
func (p *Peer) swept(t *testing.T) *Peer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p.tend(ctx, "sweeping", p.sweep)
	t.Cleanup(func() {
		cancel()
		p.wg.Wait()
		p.drop(closed, ErrClosed)
	})
	return p
}

// dialing makes l the way to the owner that p connects to.
func (p *Peer) dialing(l *bufconn.Listener) *Peer {
	p.config.Address = "owner"
	p.config.Dial = func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	return p
}

// The stream counts as established only when the other end has agreed: a
// refused one must not let hits flow.
func TestRefusedStreamWasNotEstablished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 16)
		s := NewServer(nil, Hello{Cluster: "one", Boot: 2}, nil)
		go s.Serve(l)
		defer s.Close()
		p := unconnected(t).dialing(l)
		p.config.Hello = Hello{Cluster: "other", Boot: 1}
		established, err := p.attempt(t.Context())
		if established || err == nil || !strings.Contains(reason(err), `cluster "other"`) {
			t.Errorf("session: established %v, error %v", established, err)
		}
	})
}

// One who accepts the connection and then says nothing is given up.
func TestSilentListenerIsNotEstablished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 16)
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				defer c.Close()
				c.Read(make([]byte, 1))
				time.Sleep(time.Minute)
			}
		}()
		p := unconnected(t).dialing(l)
		began := time.Now()
		established, err := p.attempt(t.Context())
		if took := time.Since(began); established || err == nil || took > dialTime {
			t.Errorf("session: established %v, error %v, after %v", established, err, took)
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestHelloCheck(t *testing.T) {
	mine := Hello{Cluster: "shop", Fingerprint: 0xfeed, Boot: 0xb007}
	other := func(cluster string, fingerprint uint64) Hello {
		return Hello{Cluster: cluster, Fingerprint: fingerprint, Boot: 0xcafe}
	}
	attached := func(h Hello) metadata.MD {
		md, _ := metadata.FromOutgoingContext(h.attach(context.Background(), 0))
		return md
	}
	with := func(key, value string) metadata.MD {
		md := attached(other("shop", 0xfeed))
		md.Set(key, value)
		return md
	}
	tests := []struct {
		md   metadata.MD
		want string // part of the error
	}{
		{attached(other("shop", 0xfeed)), ""},
		{attached(other("shop", 0xfeee)), "DigestKey"},
		{attached(other("Shop", 0xfeed)), `cluster "Shop"`},
		{attached(Hello{}), `cluster ""`},
		{with(headerVersion, "2"), `version "2" of the protocol, this replica 1`},
		{with(headerVersion, ""), `version ""`},
		{with(headerFingerprint, ""), "DigestKey"},
		{with(headerBoot, ""), `boot id ""`},
		{with(headerBoot, "0000000000000000"), `boot id "0000000000000000"`},
		{with(headerBoot, "no number"), `boot id "no number"`},
		{with(headerBoot, "1000000000000cafe"), "boot id"},
		{with(headerPeer, "000000000000b007"), ""},
		{with(headerPeer, "000000000000b008"), `means boot "000000000000b008", and boot 000000000000b007 has`},
		{with(headerPeer, "b007"), `means boot "b007"`},
		{metadata.MD{}, "version"},
		{nil, "version"},
	}
	for _, tt := range tests {
		from, err := mine.check(metadata.NewIncomingContext(context.Background(), tt.md))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("check(%v) = %v, want %q", tt.md, err, tt.want)
		}
		if err == nil && from != 0xcafe || err != nil && from != 0 {
			t.Errorf("check(%v) says boot %x", tt.md, from)
		}
	}
	if _, err := mine.check(context.Background()); err == nil {
		t.Error("a stream without headers was let in")
	}
}
