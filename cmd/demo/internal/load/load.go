// Package load is the demo's load generator: it asks an HTTP server in an open loop, and
// checks that what it admits keeps to its limit.
//
// Requests are sent when they are due (package pace), so the latency of a server that
// stalls is what its users would see. Answers of 2xx are admissions and those of 429
// refusals. The limit is given, or read off the RateLimit-Policy of the answers, and every
// key's admissions are compared with it over every interval (package exact), by the clock
// of this process: an admission happened at some time between request and answer. So
// what it calls over the limit is over it for certain; what lies between two instants
// that it can't tell apart is in the server's favour.
//
// It is for servers of one's own: it reaches other hosts only if it is told to.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
)

// KeyMark and LimitMark stand in a route for the key of a request and for the limit.
const (
	KeyMark   = "{key}"
	LimitMark = "{limit}"
)

// requestTime bounds a request.
const requestTime = 10 * time.Second

// maxBody is how much of an answer is read.
const maxBody = 64 << 10

// ErrOver: more was admitted than the limit allows.
var ErrOver = errors.New("admitted over the limit")

// ErrUnchecked: nobody said what the limit is.
var ErrUnchecked = errors.New("no answer has a RateLimit-Policy that can be read, so nothing was checked; give -limit")

// Config is a load.
type Config struct {
	pace.Plan
	Target  *url.URL       // scheme and host
	Route   string         // path and query, with marks
	Limits  []bucket.Limit // nil means that the answers say it
	Text    string         // of the limit, for LimitMark
	AnyHost bool
	JSON    bool
}

// Run sends the load and writes a summary to stdout, also when ctx ends it early. To
// progress it writes a line each second. The error is ErrOver, ErrUnchecked, or that
// nothing answers.
func Run(ctx context.Context, c Config, stdout, progress io.Writer) error {
	client := newClient(c.AnyHost)
	defer client.CloseIdleConnections()
	if err := knock(ctx, client, c.Target); err != nil && ctx.Err() == nil {
		return fmt.Errorf("nobody answers at %s: %w", c.Target, err)
	}
	return run(ctx, c, client, stdout, progress)
}

// run is Run with a client.
func run(ctx context.Context, c Config, client *http.Client, stdout, progress io.Writer) error {
	t, err := newTally(c)
	if err != nil {
		return err
	}
	urls := c.urls()
	zipf := pace.NewZipf(c.Keys, c.Skew)
	began := time.Now()

	watching, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		t.watch(watching, began, progress)
	}()
	dropped := pace.Run(ctx, c.Plan, func(_ int64, due time.Time) {
		key := zipf.Key()
		asked := time.Since(began)
		a, err := ask(ctx, client, urls[key])
		if err != nil && ctx.Err() != nil {
			return // cut off
		}
		t.note(key, asked, time.Since(began), time.Since(due), a, err)
	})
	stop()
	<-watched
	r := t.report(c, time.Since(began), dropped)
	if err := r.write(stdout, c.JSON); err != nil {
		return err
	}
	return r.verdict()
}

// urls are what is asked for, by key.
func (c Config) urls() []string {
	urls := make([]string, c.Keys)
	for i := range urls {
		route := strings.ReplaceAll(c.Route, KeyMark, url.QueryEscape(keyName(i)))
		urls[i] = strings.TrimSuffix(c.Target.String(), "/") + strings.ReplaceAll(route, LimitMark, url.QueryEscape(c.Text))
	}
	return urls
}

func keyName(key int) string { return "user-" + strconv.Itoa(key+1) }

// newClient makes a client that follows no redirect, uses no proxy and, but for anyHost,
// connects to this host alone, whatever a name resolves to.
func newClient(anyHost bool) *http.Client {
	dialer := &net.Dialer{Timeout: requestTime}
	if !anyHost {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().IsLoopback() {
				return fmt.Errorf("%s is another host; give -any-host if it is yours to load", address)
			}
			return nil
		}
	}
	return &http.Client{
		Timeout:       requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			MaxIdleConnsPerHost: 512,
			DisableCompression:  true,
		},
	}
}

// knock connects once, so that a server that isn't there is no load of failures.
func knock(ctx context.Context, client *http.Client, target *url.URL) error {
	port := target.Port()
	if port == "" {
		port = target.Scheme // which names it
	}
	conn, err := client.Transport.(*http.Transport).DialContext(ctx, "tcp", net.JoinHostPort(target.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// answer is what matters of a response.
type answer struct {
	status   int
	policy   string
	degraded bool
}

func ask(ctx context.Context, client *http.Client, url string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return answer{resp.StatusCode, strings.Join(resp.Header.Values("RateLimit-Policy"), ", "), strings.Contains(string(body), `"degraded":true`)}, err
}

// bounds are what some limits promise.
func bounds(limits []bucket.Limit) (bs []exact.Bound, err error) {
	for _, l := range limits {
		b, err := exact.BoundOf(l)
		if err != nil {
			return nil, err
		}
		bs = append(bs, b)
	}
	return bs, nil
}

// Checkable says why it can't be checked that some limits are kept, if so.
func Checkable(limits []bucket.Limit) error {
	_, err := bounds(limits)
	return err
}
