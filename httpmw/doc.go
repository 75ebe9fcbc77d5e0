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
// write is no identity. See [ClientIP], [Header], and [All] and [FirstOf], which put
// key functions together.
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
// only if it is known that waiting helps, and never an earlier one than a layer
// around has set. Where a penalty of the rule refused,
// RateLimit and the document name that, and the document's type is
// abnormal-usage-detected. RateLimit-Policy doesn't list penalties: what they count
// is refusals, for which the draft has no unit. [Answers] say all that in other
// forms and words.
//
// A rule in bucket.Shadow refuses nothing, so there is no 429 and no Retry-After.
// RateLimit is what it would be otherwise: r=0, and t until the request would have
// passed. A rule that is bucket.Off sets no headers, since nothing is limited.
//
// A request without a key gets 400: it is neither let through nor lumped together
// with others, unless by [FirstOf]. If no decision can be made, which with a cluster.Node is so only
// after its Close, when the request's context has ended, or under the failure
// policy Deny when the owner of the key is silent, the answer is 503.
//
// # Several limits
//
// The limits of one rule, as in "5/second; 100/hour", are one decision under one
// key. [And] adds other rules and keys, say a user's and an address's, all or
// nothing. Middlewares around each other are decided one after the other, from the
// outside: what the outer one has charged stays charged when the inner one
// refuses. Either way RateLimit and RateLimit-Policy list the limits of all, in
// RateLimit what refused first, and then what has the least left. The name of a
// limit is its name there, so give limits different names where they meet.
//
// What a limit covers is what it is wrapped around. Around a mux it is a limit of
// the application; around several handlers one that they share; around each
// handler, with the route in the key, a default that each route has for itself. A
// route's own limit takes the place of its group's by being the only one around
// the route's handler, or by [Matches] where the group's is around the mux; around
// both, it stands beside it. The examples show each.
//
// OPTIONS is not limited, unless by [ChargePreflights].
//
// # Coming from Flask-Limiter
//
// Each of its features, and an example or test of what it is here:
//
//	Limiter(key_func)           New(node, rule, key)                         ExampleNew
//	default_limits              around each handler, All(Route(), key)       Example_defaultsPerRoute
//	application_limits          around the mux                               Example_global
//	meta_limits                 "penalty 2/hour" in the rule                 TestPenalty
//	*_per_method                All(Method(), key)                           Example_perMethod
//	methods=[...]               around "PUT /item"                           Example_perMethod
//	*_exempt_when               SkipIf, or for one of several ErrExempt      TestTrapExemptFromOne
//	*_deduct_when               ChargeIf                                     ExampleChargeIf
//	*_cost                      Cost, CostBy                                 ExampleCostBy
//	limit()                     limit(handler)                               ExampleNew
//	shared_limit                one limit around several handlers            Example_sharedByRoutes
//	key_func of a limit         the key of each New, or And                  ExampleAnd
//	override_defaults           only the own limit around the handler        Example_ownLimitOfARoute
//	override_defaults=False     both                                         Example_ownLimitOfARoute
//	exempt                      no limit around it, SkipIf(Matches(...))     ExampleMatches
//	request_filter              SkipIf, by address with Address.In           ExampleSkipIf
//	static files, 404           by choice: Matches(mux, "/static/", "")      ExampleMatches
//	an empty key                400, or FirstOf                              TestNoKey
//	blueprints                  a mux of its own                             ExampleMatches
//	a callable limit            RuleBy                                       ExampleRuleBy
//	several limits              "5/second; 100/hour", And                    TestTrapRefusedYetCharged
//	fail_on_first_breach        all are looked at, the longest wait is told  TestAnd
//	on_breach, on_meta_breach   Answers.Refused, Refusal.Penalized           ExampleAnswers_refused
//	error_message               Answers.Message                              ExampleAnswers
//	errorhandler(429)           Answers.Refused                              ExampleAnswers_refused
//	RateLimitExceeded           Refuse                                       ExampleRefuse
//	headers_enabled, names      Answers.X                                    ExampleAnswers
//	RETRY_AFTER_VALUE           Answers.RetryDate                            TestForms
//	current_limits              Record, FromContext                          ExampleFromContext
//	strategy                    a word of each limit: "fixed", "log"         TestChargeIf
//	swallow_errors, fallback    "policy deny", "policy allow" in the rule    TestRefusalByFailurePolicy
//	key_prefix                  the rule's name                              TestTrapPenaltiesAreTheRules
//	request_identifier          a KeyFunc                                    Example_defaultsPerRoute
//	several Limiters            middlewares around each other                TestStacked
//	plain functions, "with"     Take and Refuse; limit(part).ServeHTTP       Example_partOfAHandler
//	enabled                     rule.SetMode(bucket.Off), at any time        TestModesChange
//	logging                     FromContext                                  ExampleFromContext
package httpmw
