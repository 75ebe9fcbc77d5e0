package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nameServer is one whose table a test writes.
type nameServer struct {
	mu    sync.Mutex
	table map[string][]string // nil means that it doesn't answer
}

func (n *nameServer) set(table map[string][]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table = table
}

func (n *nameServer) lookup(_ context.Context, host string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if hosts := n.table[host]; hosts != nil {
		return hosts, nil
	}
	return nil, errors.New("no such host")
}

// fakeReplica is a server that can be told what to do.
type fakeReplica struct {
	*httptest.Server
	ready atomic.Bool
	do    atomic.Pointer[http.HandlerFunc] // what it does with requests; nil says 200
	seen  atomic.Int64                     // requests that were no probes
}

// newFakeReplica serves on an address, which is its name too.
func newFakeReplica(t *testing.T, address string) *fakeReplica {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeReplica{}
	f.ready.Store(true)
	f.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: servedBy(l.Addr().String(), http.HandlerFunc(f.serve))}}
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeReplica) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		readyz(f.ready.Load)(w, r)
		return
	}
	f.seen.Add(1)
	if do := f.do.Load(); do != nil {
		(*do)(w, r)
	}
}

func (f *fakeReplica) does(h http.HandlerFunc) { f.do.Store(&h) }

func (f *fakeReplica) address() string { return f.Listener.Addr().String() }

// newTestBalance balances over what a name server says of names.
func newTestBalance(t *testing.T, names *nameServer, replicas ...string) *balance {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := startBalanceOn(l, balanceConfig{replicas: replicas, log: slog.New(slog.DiscardHandler)}, names.lookup)
	t.Cleanup(func() {
		if err := b.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// serving waits until exactly those answer.
func serving(t *testing.T, c client, b *balance, replicas ...*fakeReplica) {
	t.Helper()
	want := map[string]bool{}
	for _, f := range replicas {
		want[f.address()] = true
	}
	eventually(t, fmt.Sprint(len(replicas), " of them serve"), func() bool { return len(b.lookout.ready()) == len(replicas) })
	for range 3 * len(replicas) {
		if a := c.get(b.balancer.url() + "/"); a.status != 200 || !want[a.servedBy()] {
			t.Errorf("%d from %q", a.status, a.servedBy())
		}
	}
}

// It finds whom the names stand for, and sends those requests that are ready.
func TestBalanceFinds(t *testing.T) {
	t.Parallel()
	one, two := newFakeReplica(t, "127.0.0.1:0"), newFakeReplica(t, "127.0.0.1:0")
	names := &nameServer{}
	_, port1, _ := net.SplitHostPort(one.address())
	_, port2, _ := net.SplitHostPort(two.address())
	b := newTestBalance(t, names, "one:"+port1, "two:"+port2)
	c := newClient(t, "")

	a := c.get(b.balancer.url() + "/")
	want(t, a, 503)
	if !strings.Contains(a.body, `"detail":"no replica is ready"`) || a.header.Get("Retry-After") != "1" || a.servedBy() != "balancer" {
		t.Errorf("with no replica: %v %s", a.header, a.body)
	}
	want(t, c.get(b.balancer.url()+"/readyz"), 503)
	want(t, c.get(b.balancer.url()+"/healthz"), 200)

	names.set(map[string][]string{"one": {"127.0.0.1"}})
	serving(t, c, b, one)
	want(t, c.get(b.balancer.url()+"/readyz"), 200)
	names.set(map[string][]string{"one": {"127.0.0.1"}, "two": {"127.0.0.1"}})
	serving(t, c, b, one, two)
	two.ready.Store(false)
	serving(t, c, b, one)
	two.ready.Store(true)
	serving(t, c, b, one, two)
	names.set(map[string][]string{"one": {"127.0.0.1"}, "two": {"192.0.2.1"}}) // where nobody is
	serving(t, c, b, one)
	names.set(nil)
	b.lookout.look("one:" + port1) // which is told nothing new, so keeps what it knows
	serving(t, c, b, one)
}

// One name of many addresses, as a service in Compose or Kubernetes is.
func TestBalanceOneNameForAll(t *testing.T) {
	t.Parallel()
	one := newFakeReplica(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(one.address())
	newClient(t, "127.0.0.2")
	two := newFakeReplica(t, net.JoinHostPort("127.0.0.2", port))
	names := &nameServer{table: map[string][]string{"replica": {"127.0.0.1", "127.0.0.2"}}}
	b := newTestBalance(t, names, "replica:"+port)
	serving(t, newClient(t, ""), b, one, two)
	names.set(map[string][]string{"replica": {"127.0.0.2"}})
	serving(t, newClient(t, ""), b, two)
}

// What a replica may have seen is sent again only if that changes nothing.
func TestBalanceRepeatsWhatIsSafe(t *testing.T) {
	t.Parallel()
	one, two := newFakeReplica(t, "127.0.0.1:0"), newFakeReplica(t, "127.0.0.1:0")
	b := newTestBalance(t, &nameServer{table: map[string][]string{"127.0.0.1": {"127.0.0.1"}}}, one.address(), two.address())
	c := newClient(t, "")
	serving(t, c, b, one, two)
	one.seen.Store(0)
	two.seen.Store(0)
	one.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for range 4 {
		a := c.get(b.balancer.url() + "/")
		want(t, a, 200)
		if a.servedBy() != two.address() {
			t.Errorf("served by %q", a.servedBy())
		}
		eventually(t, "it is back", func() bool { return len(b.lookout.ready()) == 2 })
	}
	if one.seen.Load() == 0 {
		t.Error("nobody met the one that breaks connections")
	}
	broken := 0
	for n := range 4 {
		if a := c.do("POST", b.balancer.url()+"/", fmt.Sprint("once ", n)); a.status == 502 {
			broken++
		}
		eventually(t, "it is back", func() bool { return len(b.lookout.ready()) == 2 })
	}
	if broken == 0 {
		t.Error("each POST was answered, so some were sent twice")
	}

	two.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	a := c.get(b.balancer.url() + "/")
	want(t, a, 502) // and no third time
}

// A replica that takes long keeps nobody else waiting, and is given up when it says
// nothing at all.
func TestBalanceSlowReplica(t *testing.T) {
	t.Parallel()
	quick, slow := newFakeReplica(t, "127.0.0.1:0"), newFakeReplica(t, "127.0.0.1:0")
	b := newTestBalance(t, &nameServer{table: map[string][]string{"127.0.0.1": {"127.0.0.1"}}}, quick.address(), slow.address())
	c := newClient(t, "")
	serving(t, c, b, quick, slow)
	over := make(chan bool)
	defer close(over)
	slow.does(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	b.balancer.upstreams.transport.ResponseHeaderTimeout = 100 * time.Millisecond
	codes := map[int]int{}
	for range 4 {
		a := c.get(b.balancer.url() + "/")
		if codes[a.status]++; a.status == 504 && !strings.Contains(a.body, "did not answer in time") {
			t.Error(a.body)
		}
	}
	if codes[200] != 2 || codes[504] != 2 || slow.seen.Load() < 2 {
		t.Errorf("%v; the slow one has seen %d", codes, slow.seen.Load())
	}
	if ready := b.lookout.ready(); len(ready) != 2 {
		t.Errorf("%v are ready: to be slow is not to be gone", ready)
	}
}

// A probe without an answer is forgiven once.
func TestLookoutForgives(t *testing.T) {
	t.Parallel()
	var published []string
	l := newLookout(nil, nil, func(ready []string) { published = ready }, slog.New(slog.DiscardHandler))
	defer l.close()
	const address = "192.0.2.1:80"
	l.replicas[address] = &upstream{}
	slow := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	for i, step := range []struct {
		answer error
		ready  bool
	}{{nil, true}, {slow, true}, {nil, true}, {slow, true}, {slow, false}, {slow, false}, {nil, true}, {errors.New("refused"), false}, {slow, false}, {nil, true}} {
		l.note(t.Context(), address, step.answer)
		if got := len(published) == 1; got != step.ready {
			t.Errorf("step %d: ready %v after %v", i, got, step.answer)
		}
	}
	if l.lost(address); len(published) != 0 {
		t.Errorf("%v are ready, though it was lost", published)
	}
}

// It is no longer ready, and serves on until those in front of it have noticed.
func TestBalanceEnds(t *testing.T) {
	t.Parallel()
	one := newFakeReplica(t, "127.0.0.1:0")
	b := newTestBalance(t, &nameServer{table: map[string][]string{"127.0.0.1": {"127.0.0.1"}}}, one.address())
	c := newClient(t, "")
	serving(t, c, b, one)
	b.linger = maxLinger
	ctx, enough := context.WithCancel(t.Context())
	closed := make(chan error)
	go func() { closed <- b.close(ctx) }()
	eventually(t, "it is no longer ready", func() bool { return c.get(b.balancer.url()+"/readyz").status == 503 })
	want(t, c.get(b.balancer.url()+"/"), 200)
	enough()
	if err := <-closed; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.linger = 0 // it is closed once more with the test
}

// The real thing: replicas of the demo behind the subcommand, by the real resolver.
func TestBalanceCommand(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	p := launch(t, "balance", "-listen", "127.0.0.1:0", "-replicas", strings.Join(d.addresses(), ","), "-linger", "0s")
	url := "http://" + p.prints(`load balancer: http://(\S+), looking for replicas at 127`)[1]
	p.prints(`ready: [123] replicas?\n`)
	c := newClient(t, "")
	met := map[string]bool{}
	eventually(t, "all three serve", func() bool { met[c.get(url+"/test").servedBy()] = true; return len(met) == 3 })
	codes := map[int]int{}
	for range 12 {
		codes[c.get(url+"/try?limit=5/hour&key=ann").status]++
	}
	if codes[200] != 5 || codes[429] != 7 {
		t.Errorf("12 requests at 5/hour: %v", codes)
	}
	p.ends()
}
