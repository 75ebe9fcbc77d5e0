package test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// The seeds_*_test.go are the systems that Shoal wants to be a better home for: the
// applications of four tutorials, which the demo serves (cmd/demo/seeds), each on three
// replicas behind a balancer, and what they answer, request by request.

const (
	balancerAddress = "10.0.1.1"
	clientAddress   = "203.0.113.1" // of a client that names none
)

// site is an application behind a balancer: the reverse proxy of the standard library,
// which goes round robin over the replicas. Its hop to them is a call of their
// handlers, from the balancer's address. What a client says of addresses it passes on,
// as many do.
type site struct {
	*fleet
	opened   time.Time
	handlers []http.Handler // of the replicas, in their order
	balancer http.Handler

	mu   sync.Mutex
	next int
	dead map[int]bool
}

// open starts three replicas of an application, and waits until they are ready.
func (f *fleet) open(app func(*replica) http.Handler) *site {
	f.Helper()
	s := &site{fleet: f, dead: map[int]bool{}}
	for _, r := range f.start(3) {
		s.handlers = append(s.handlers, app(r))
	}
	f.ready(formTime, f.replicas...)
	s.balancer = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "replicas"})
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // to which it adds
			r.SetXForwarded()
		},
		Transport: s,
	}
	s.opened = time.Now()
	return s
}

// RoundTrip has the next living replica answer.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	at := s.turn()
	if at < 0 {
		return nil, errors.New("no replica lives")
	}
	in := r.Clone(r.Context())
	in.RemoteAddr = balancerAddress + ":40000"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.handlers[at].ServeHTTP(w, in)
	return w.Result(), nil
}

func (s *site) turn() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.handlers {
		at := s.next % len(s.handlers)
		if s.next++; !s.dead[at] {
			return at
		}
	}
	return -1
}

// lose ends the program of a replica; the balancer notices at once.
func (s *site) lose(r *replica) {
	s.mu.Lock()
	for i, other := range s.replicas {
		s.dead[i] = s.dead[i] || other == r
	}
	s.mu.Unlock()
	r.kill()
}

// client counts by the address that the balancer tells.
func client() httpmw.KeyFunc { return httpmw.ClientIP(netip.MustParsePrefix(balancerAddress + "/32")) }

// limit makes the middleware of a rule in words.
func (r *replica) limit(name, limits string, key httpmw.KeyFunc, opts ...httpmw.Option) func(http.Handler) http.Handler {
	r.fleet.Helper()
	limit, err := httpmw.New(r.Node, bucket.MustRule(name, limits), key, opts...)
	if err != nil {
		r.fleet.Fatal(err)
	}
	return limit
}

// seed is a system that must be without fault.
func (r *replica) seed(h http.Handler, err error) http.Handler {
	r.fleet.Helper()
	if err != nil {
		r.fleet.Fatal(err)
	}
	return h
}

// text is a handler that answers with it.
func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) })
}

// step is one line of a transcript, or some that are alike.
type step struct {
	at      time.Duration // since the site was opened; a time that has gone by is now
	ask     string        // "GET /", "10 GET /", "GET / as 203.0.113.7, X-User: ann"
	status  int
	body    string // all of it; "" is not looked at
	headers string // "Name: value" in lines, or "Name: this or that"; without a value there must be none
}

// play plays a transcript.
func (s *site) play(steps []step) {
	s.Helper()
	for i, x := range steps {
		time.Sleep(time.Until(s.opened.Add(x.at)))
		times, ask := 1, x.ask
		if n, rest, ok := strings.Cut(ask, " "); ok {
			if count, err := strconv.Atoi(n); err == nil {
				times, ask = count, rest
			}
		}
		for n := range times {
			x.check(s, fmt.Sprintf("step %d, %v, %s, request %d", i+1, x.at, ask, n+1), s.ask(ask))
		}
	}
}

// ask sends one request, in the words of a step, to the balancer.
func (s *site) ask(words string) *httptest.ResponseRecorder {
	words, as, _ := strings.Cut(words, " as ")
	method, target, _ := strings.Cut(words, " ")
	r := httptest.NewRequest(method, target, nil).WithContext(s.Context())
	r.RemoteAddr = clientAddress + ":50000"
	for who := range strings.SplitSeq(as, ", ") {
		if name, value, ok := strings.Cut(who, ": "); ok {
			r.Header.Set(name, value)
		} else if who != "" {
			r.RemoteAddr = who + ":50000"
		}
	}
	w := httptest.NewRecorder()
	s.balancer.ServeHTTP(w, r)
	return w
}

func (x step) check(s *site, where string, w *httptest.ResponseRecorder) {
	s.Helper()
	if w.Code != x.status || x.body != "" && w.Body.String() != x.body {
		s.Errorf("%s: got %d %q, want %d %q; %v", where, w.Code, w.Body, x.status, x.body, w.Header())
	}
	for line := range strings.Lines(x.headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		wants := strings.Split(strings.TrimSpace(value), " or ")
		if got := w.Header().Get(name); !slices.Contains(wants, got) {
			s.Errorf("%s: got %s %q, want %q", where, name, got, wants)
		}
	}
}
