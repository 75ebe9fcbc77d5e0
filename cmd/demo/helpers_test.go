package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/atlas"
	"github.com/shoal-dev/shoal/httpmw"
)

// patience is far more than anything here takes, on a busy machine too.
const patience = time.Minute

// newDemo starts the all-in-one on any free ports, waits until it is ready, and
// ends it with the test.
func newDemo(t *testing.T) *demo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := startDemo(ctx, demoConfig{replicas: 3, listen: "127.0.0.1:0", log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := d.wait(ctx); err != nil {
		t.Fatal(err)
	}
	return d
}

func (b *balancer) url() string { return "http://" + b.server.address() }

// newAlone returns the routes of a replica on its own.
func newAlone(t testing.TB) (*cluster.Node, http.Handler) {
	t.Helper()
	node, err := cluster.Start(context.Background(), cluster.Config{Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	h, err := newRoutes(node, httpmw.ClientIP(), node.Ready, atlas.Embedded, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return node, h
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) servedBy() string { return a.header.Get("X-Served-By") }

// json decodes the body.
func (a answer) json(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

// client is somebody at an IP address of this host.
type client struct {
	t    *testing.T
	http *http.Client
}

// newClient makes a client at an address, "" for the usual one. Where the host
// has no such address the test is skipped: only Linux has all of 127.0.0.0/8.
func newClient(t *testing.T, ip string) client {
	t.Helper()
	var d net.Dialer
	if ip != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(ip)}
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Skipf("no address %s here: %v", ip, err)
		}
		l.Close()
	}
	transport := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 50}
	t.Cleanup(transport.CloseIdleConnections)
	return client{t, &http.Client{Transport: transport, Timeout: patience}}
}

// get asks by GET, with headers given as "Name: value".
func (c client) get(url string, headers ...string) answer {
	c.t.Helper()
	return c.do("GET", url, "", headers...)
}

func (c client) do(method, url, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	a, err := c.send(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c client) send(req *http.Request) (answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(read)}, err
}

// want checks a status.
func want(t *testing.T, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%d from %q, want %d\n%s", a.status, a.servedBy(), status, a.body)
	}
}

// eventually waits until done says yes.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if poll(ctx, done) != nil {
		t.Fatalf("not within %v: %s", patience, what)
	}
}
