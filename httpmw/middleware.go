// Package httpmw limits the requests to an http.Handler.
//
//	limit, err := httpmw.New(node, rule, httpmw.ClientIP())
//	...
//	mux.Handle("/api/", limit(api))
//
// New asks for three things on purpose: who decides (a cluster.Node, or anything
// with its one method), by which rule, and what a request is counted under. The
// last has no default, because there is none that is safe everywhere: behind a
// proxy the peer's address is the proxy's, and a header that the client can
// write is no identity. See [ClientIP] and [Header].
//
// A request that may pass reaches the handler, and its response tells the client
// where it stands:
//
//	RateLimit-Policy: "10 per 1 minute";q=10;w=60
//	RateLimit: "10 per 1 minute";r=9;t=6
//
// as in draft-ietf-httpapi-ratelimit-headers-11. RateLimit-Policy lists the
// rule's limits and never changes; RateLimit shows the limit that decided, or is
// nearest to refusing, with the tokens that remain and the seconds until there
// are more.
//
// Under a leaky bucket a request that may pass waits for its turn before it
// reaches the handler; if its context ends before that, it gets 503.
//
// Under a limit on what runs at a time, such as "2 concurrent", a request counts
// until the handler has returned, panics included; other replicas know a moment
// later that it has. A client that hangs up ends the
// request's context and no more: a handler that ignores it goes on running and so
// goes on counting. What outlives the handler no longer counts, as a goroutine, a
// handler that http.TimeoutHandler has given up on (so put that outside), or a
// connection that was hijacked: a handler of WebSockets should return when the
// connection ends. These limits have no time in their headers, as nobody knows when
// a request will end:
//
//	RateLimit-Policy: "2 concurrent";q=2;qu="concurrent-requests"
//	RateLimit: "2 concurrent";r=1
//
// A request over the limit gets 429 (RFC 6585) with Retry-After in whole
// seconds, rounded up, after which the same request can pass; a problem document
// (RFC 9457) that names the limit; and Cache-Control: no-store. It has Retry-After
// only if it is known that waiting helps. Where a penalty of the rule refused,
// RateLimit and the document name that, and the document's type is
// abnormal-usage-detected. RateLimit-Policy doesn't list penalties: what they count
// is refusals, for which the draft has no unit.
//
// A rule in bucket.Shadow refuses nothing, so there is no 429 and no Retry-After.
// RateLimit is what it would be otherwise: r=0, and t until the request would have
// passed. A rule that is bucket.Off sets no headers, since nothing is limited.
//
// A request without a key gets 400: it is neither let through nor lumped together
// with others. If no decision can be made, which with a cluster.Node is so only
// after its Close, when the request's context has ended, or under the failure
// policy Deny when the owner of the key is silent, the answer is 503.
package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter decides. *cluster.Node is one.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
}

// Acquirer is what a Limiter must be too for rules that limit what runs at a time.
// *cluster.Node is one.
type Acquirer interface {
	// Acquire decides whether one more request of key may run, and counts it until
	// release is called. Without an error release isn't nil.
	Acquire(ctx context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error)
}

// KeyFunc says what a request is counted under: an address, a user, an API key.
// It may be called by many goroutines at once. An empty key is an error, too.
type KeyFunc func(*http.Request) (key string, err error)

// New returns a middleware that takes one token from the request's key for each
// request, or under a concurrency limit a slot while its handler runs; the limiter
// must be an [Acquirer] for that. Handlers that are wrapped by the same rule share
// its limits, as do all replicas. The error names what is missing.
func New(l Limiter, rule *bucket.Rule, key KeyFunc) (func(http.Handler) http.Handler, error) {
	var errs []error
	if l == nil {
		errs = append(errs, errors.New("httpmw: no limiter; give New a *cluster.Node"))
	}
	empty := rule == nil || rule.Name() == "" // as one for a flag that nobody has set
	if empty {
		errs = append(errs, errors.New("httpmw: no rule, or an empty one; make one with bucket.NewRule"))
	}
	if key == nil {
		errs = append(errs, errors.New("httpmw: no key function; say what requests are counted under, as ClientIP does"))
	}
	m := &middleware{rule: rule, key: key}
	if l != nil && !empty {
		var err error
		m.enter, err = newEnter(l, rule)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m.fields = newFields(rule)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}, nil
}

type middleware struct {
	enter  enter
	rule   *bucket.Rule
	key    KeyFunc
	fields fields
}

// enter decides a request of key; leave is to be called when its handler has
// returned.
type enter func(ctx context.Context, key string) (leave func(), d bucket.Decision, err error)

// newEnter chooses what the rule needs of the limiter.
func newEnter(l Limiter, rule *bucket.Rule) (enter, error) {
	if _, concurrent := rule.Concurrent(); !concurrent {
		stay := func() {}
		return func(ctx context.Context, key string) (func(), bucket.Decision, error) {
			d, err := l.Take(ctx, rule, key, 1)
			return stay, d, err
		}, nil
	}
	a, ok := l.(Acquirer)
	if !ok {
		return nil, fmt.Errorf("httpmw: rule %q limits what runs at a time, and the limiter, a %T, has no method Acquire; give New a *cluster.Node, or the rule a limit such as 10/second", rule.Name(), l)
	}
	return func(ctx context.Context, key string) (func(), bucket.Decision, error) {
		return a.Acquire(ctx, rule, key)
	}, nil
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	key, err := m.key(r)
	if err != nil || key == "" {
		noKey().write(w, r)
		return
	}
	leave, d, err := m.enter(r.Context(), key)
	if err != nil {
		unavailable().write(w, r)
		return
	}
	defer leave()
	m.fields.set(w.Header(), d)
	switch {
	case d.Allowed:
		if !wait(r.Context(), d.Delay) {
			unavailable().write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	case d.Degraded && m.rule.FailurePolicy() == bucket.Deny:
		unavailable().write(w, r)
	default:
		exceeded(d.Limit, m.fields.penalizes(d.Limit)).write(w, r)
	}
}

// wait waits for a request's turn; it reports false, at once if that can be told,
// when the context ends before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
