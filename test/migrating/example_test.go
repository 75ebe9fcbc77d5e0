// Package migrating has the code of the guides in docs/migrating, so that it compiles,
// runs, and says what the guides say it does.
//
// Each Go block of a guide stands in one of these Examples, one level further in, or in
// one of a package of its own where it needs that (contrib/envoyrls); a test in
// test/docs_test.go looks. What a guide says of the system that its reader comes from
// is not run here: those are facts of that system, at the version that the guide names.
//
// Each Example runs on a cluster of one, the zero cluster.Config, which opens no socket.
// With a Bind, Seeds and a Secret the same code is one replica of many.
//
// The outputs are the guides' promises: what remains after a hit, who is refused, and
// that a receipt or a reset gives back what they say.
package migrating

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

// start starts a cluster of one.
func start(ctx context.Context) *cluster.Node {
	node, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return node
}

func get(h http.Handler, paths ...string) {
	for _, path := range paths {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Printf("%s %d %q\n", path, w.Code, w.Header().Get("X-RateLimit-Remaining"))
	}
}

// From Flask-Limiter: docs/migrating/flask-limiter.md.
func Example_flaskLimiter() {
	ctx := context.Background()
	node := start(ctx)
	defer node.Close(ctx)
	page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	headers := httpmw.Answer(httpmw.Answers{X: httpmw.XRateLimit(), ByAccept: true})
	limit := func(name, limits string, key httpmw.KeyFunc) func(http.Handler) http.Handler {
		middleware, err := httpmw.New(node, bucket.MustRule(name, limits), key, headers)
		if err != nil {
			log.Fatal(err)
		}
		return middleware
	}
	client := httpmw.ClientIP() // get_remote_address; behind proxies name their networks
	defaults := limit("default", "200/day fixed; 50/hour fixed", httpmw.All(httpmw.Route(), client))

	mux := http.NewServeMux()
	mux.Handle("GET /list", defaults(page))                                        // default_limits
	mux.Handle("GET /slow", limit("slow", "1/day fixed", client)(page))            // @limiter.limit("1/day")
	mux.Handle("GET /both", defaults(limit("both", "1/second", client)(page)))     // override_defaults=False
	mux.Handle("GET /ping", page)                                                  // @limiter.exempt
	mux.Handle("GET /key", limit("key", "5/minute", httpmw.Header("X-Key"))(page)) // key_func

	get(mux, "/list", "/slow", "/slow", "/ping", "/key")
	// Output:
	// /list 200 "49"
	// /slow 200 "0"
	// /slow 429 "0"
	// /ping 200 ""
	// /key 400 ""
}

// From Gubernator: docs/migrating/gubernator.md.
func Example_gubernator() {
	ctx := context.Background()
	node := start(ctx)
	defer node.Close(ctx)

	// RateLimitReq{Name: "requests", UniqueKey: "account:12345", Hits: 1, Limit: 10, Duration: 60_000}
	requests := bucket.MustRule("requests", "10/minute fixed") // TOKEN_BUCKET
	decision, err := node.Take(ctx, requests, "account:12345", 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(decision.Allowed, decision.Remaining, decision.ResetAfter)

	// Algorithm: LEAKY_BUCKET, Burst: 20
	smooth := bucket.MustRule("smooth", "10/minute burst 20")
	decision, err = node.Take(ctx, smooth, "account:12345", 15)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(decision.Allowed, decision.Remaining)

	// Hits: 0, Hits: -15 and RESET_REMAINING
	peeked, err := node.Peek(ctx, smooth, "account:12345", 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(peeked.Remaining)
	if err := node.Refund(ctx, smooth, "account:12345", decision.Receipt); err != nil {
		log.Fatal(err)
	}
	if err := node.Reset(ctx, requests, "account:12345"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true 9 1m0s
	// true 5
	// 5
}

// From redis_rate: docs/migrating/redis_rate.md.
func Example_redisRate() {
	ctx := context.Background()
	node := start(ctx)
	defer node.Close(ctx)

	// limiter.Allow(ctx, "user:1", redis_rate.PerMinute(60))
	api := bucket.MustRule("api", "60/minute")
	res, err := node.Take(ctx, api, "user:1", 1)
	if err != nil {
		log.Fatal(err) // the context has ended or the node is closed; never that others are away
	}
	if !res.Allowed {
		fmt.Println("retry after", res.RetryAfter)
	}
	fmt.Println(res.Remaining, res.ResetAfter.Round(time.Second))

	// redis_rate.Limit{Rate: 10, Burst: 50, Period: time.Second}
	export, err := bucket.NewRule("export", []bucket.Limit{{Count: 10, Burst: 50, Per: time.Second}})
	if err != nil {
		log.Fatal(err)
	}
	res, err = node.Take(ctx, export, "user:1", 50) // AllowN
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Allowed, res.Remaining)
	// Output:
	// 59 1s
	// true 0
}
