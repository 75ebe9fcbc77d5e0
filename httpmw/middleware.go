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
// A request over the limit gets 429 (RFC 6585) with Retry-After in whole
// seconds, rounded up, after which the same request can pass; a problem document
// (RFC 9457) that names the limit; and Cache-Control: no-store. It has Retry-After
// only if waiting helps at all.
//
// A request without a key gets 400: it is neither let through nor lumped together
// with others. If no decision can be made, which with a cluster.Node is so only
// after its Close, when the request's context has ended, or under the failure
// policy Deny when the owner of the key is silent, the answer is 503.
package httpmw

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Limiter decides. *cluster.Node is one.
type Limiter interface {
	Take(ctx context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error)
}

// KeyFunc says what a request is counted under: an address, a user, an API key.
// It may be called by many goroutines at once. An empty key is an error, too.
type KeyFunc func(*http.Request) (key string, err error)

// New returns a middleware that takes one token from the request's key for each
// request. Handlers that are wrapped by the same rule share its limits, as do
// all replicas. The error names what is missing.
func New(l Limiter, rule *bucket.Rule, key KeyFunc) (func(http.Handler) http.Handler, error) {
	var errs []error
	if l == nil {
		errs = append(errs, errors.New("httpmw: no limiter; give New a *cluster.Node"))
	}
	if rule == nil {
		errs = append(errs, errors.New("httpmw: no rule; make one with bucket.NewRule"))
	}
	if key == nil {
		errs = append(errs, errors.New("httpmw: no key function; say what requests are counted under, as ClientIP does"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &middleware{limiter: l, rule: rule, key: key, fields: newFields(rule)}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}, nil
}

type middleware struct {
	limiter Limiter
	rule    *bucket.Rule
	key     KeyFunc
	fields  fields
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	key, err := m.key(r)
	if err != nil || key == "" {
		noKey().write(w, r)
		return
	}
	d, err := m.limiter.Take(r.Context(), m.rule, key, 1)
	if err != nil {
		unavailable().write(w, r)
		return
	}
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
		exceeded(d.Limit).write(w, r)
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
