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
package httpmw
