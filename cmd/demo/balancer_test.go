package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// newTestBalancer balances over servers that have the handler and the names 0,
// 1, 2 and so on.
func newTestBalancer(t *testing.T, servers int, h http.Handler) (*balancer, []*httptest.Server) {
	t.Helper()
	replicas := make([]*httptest.Server, servers)
	addresses := make([]string, servers)
	for i := range replicas {
		replicas[i] = httptest.NewServer(servedBy(fmt.Sprint(i), h))
		t.Cleanup(replicas[i].Close)
		addresses[i] = replicas[i].Listener.Addr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(l, newUpstreams(addresses), newPass(), func() bool { return false }, nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = b.server.http.Close(); b.upstreams.close() })
	return b, replicas
}

// A replica that is down costs nothing but its share of the work.
func TestBalancerPassesOver(t *testing.T) {
	t.Parallel()
	b, replicas := newTestBalancer(t, 3, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	c := newClient(t, "")
	ask := func(times int) map[string]int {
		served := map[string]int{}
		for i := range times {
			body := fmt.Sprint("request ", i)
			a := c.do("POST", b.url()+"/", body)
			want(t, a, 200)
			if a.body != body {
				t.Errorf("%q came back as %q", body, a.body)
			}
			served[a.servedBy()]++
		}
		return served
	}
	if served := ask(12); served["0"] != 4 || served["1"] != 4 || served["2"] != 4 {
		t.Errorf("12 requests were served by %v, want 4 each", served)
	}
	// What was sent over a connection that then broke may have been served, so
	// a POST is not sent again: end them first.
	b.upstreams.close()
	replicas[1].Close()
	if served := ask(12); len(served) != 2 || served["1"] != 0 {
		t.Errorf("with 1 down 12 requests were served by %v", served)
	}
	b.upstreams.close()
	replicas[0].Close()
	replicas[2].Close()
	a := c.get(b.url() + "/")
	want(t, a, 502)
	if a.servedBy() != "balancer" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("502 with %v", a.header)
	}
	want(t, c.get(b.url()+"/healthz"), 200)
	want(t, c.get(b.url()+"/readyz"), 503) // as it was told
}

// A replica hears who the client is from the balancer, not from the client; and
// the query as it is.
func TestBalancerForwards(t *testing.T) {
	t.Parallel()
	b, _ := newTestBalancer(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.Header["X-Forwarded-For"], r.Header["Forwarded"], r.RequestURI)
	}))
	a := newClient(t, "").get(b.url()+"/a%2Fb?limit=1/hour;%zz", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1")
	if want := `["127.0.0.1"] [] "/a%2Fb?limit=1/hour;%zz"`; a.body != want {
		t.Errorf("the replica got %s, want %s", a.body, want)
	}
}

// A body that breaks off or makes no sense is the client's fault.
func TestBalancerBlamesTheClient(t *testing.T) {
	t.Parallel()
	b, _ := newTestBalancer(t, 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	conn, err := net.Dial("tcp", b.server.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /test HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 400 || resp.Header.Get("X-Served-By") != "balancer" {
		t.Errorf("%d by %q, want 400", resp.StatusCode, resp.Header.Get("X-Served-By"))
	}
}

// A request under way is answered before the balancer ends.
func TestBalancerDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan bool), make(chan bool)
	b, _ := newTestBalancer(t, 1, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	c := newClient(t, "")
	answered, closed := make(chan answer, 1), make(chan error, 1)
	go func() {
		req, _ := http.NewRequest("GET", b.url()+"/", nil)
		a, _ := c.send(req)
		answered <- a
	}()
	<-arrived
	go func() { closed <- b.close(t.Context()) }()
	eventually(t, "nobody new is served", func() bool {
		conn, err := net.Dial("tcp", b.server.address())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if a := <-answered; a.status != 200 || a.body != "late" {
		t.Errorf("the request under way got %d %q", a.status, a.body)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
