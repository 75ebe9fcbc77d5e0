package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

func ExampleCost() {
	node := newMemory()
	rule := bucket.MustRule("api", "10/minute")
	mux := http.NewServeMux()
	mux.Handle("/read", must(httpmw.New(node, rule, httpmw.ClientIP()))(page))
	mux.Handle("/render", must(httpmw.New(node, rule, httpmw.ClientIP(), httpmw.Cost(6)))(page))

	show(mux, "GET /render", "GET /render", "GET /read")

	// Output:
	// GET /render 200
	// GET /render 429
	// GET /read 200
}

func ExampleCostBy() {
	// A kilobyte that is uploaded is a token. The server must know the size.
	size := func(r *http.Request) (int64, error) { return (r.ContentLength + 1023) / 1024, nil }
	limit := must(httpmw.New(newMemory(), bucket.MustRule("upload", "100/minute"), httpmw.ClientIP(), httpmw.CostBy(size)))

	for _, length := range []int64{60_000, 60_000, 1_000} {
		r, w := httptest.NewRequest("PUT", "/file", nil), httptest.NewRecorder()
		r.ContentLength = length
		limit(page).ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("RateLimit"))
	}

	// Output:
	// 200 "100 per 1 minute";r=41;t=1
	// 429 "100 per 1 minute";r=41;t=11
	// 200 "100 per 1 minute";r=40;t=1
}

func ExampleRuleBy() {
	// A service has them from a file that it reloads: file.Rule(name) of contrib/rules.
	plans := map[string]*bucket.Rule{
		"free": bucket.MustRule("plan free", "1/minute"),
		"paid": bucket.MustRule("plan paid", "1000/minute"),
	}
	byPlan := func(r *http.Request) *bucket.Rule {
		if r.Header.Get("X-Plan") == "internal" {
			return nil // no limit
		}
		if rule := plans[r.Header.Get("X-Plan")]; rule != nil {
			return rule
		}
		return plans["free"]
	}
	limit := must(httpmw.New(newMemory(), nil, httpmw.Header("X-User"), httpmw.RuleBy(byPlan)))

	for _, plan := range []string{"free", "free", "paid", "internal"} {
		w := send(limit(page), "GET", "/", "X-User", "alice", "X-Plan", plan)
		fmt.Println(plan, w.Code, w.Header().Get("RateLimit"))
	}

	// Output:
	// free 200 "1 per 1 minute";r=0;t=60
	// free 429 "1 per 1 minute";r=0;t=60
	// paid 200 "1000 per 1 minute";r=999;t=1
	// internal 200
}

func ExampleAnd() {
	// A user may log in twice a minute, and an address five times, whoever it is.
	limit := must(httpmw.New(newMemory(), bucket.MustRule("login user", "user = 2/minute"), httpmw.Header("X-User"),
		httpmw.And(bucket.MustRule("login address", "address = 5/minute"), httpmw.ClientIP())))

	for _, user := range []string{"alice", "alice", "alice", "bob"} {
		w := send(limit(page), "POST", "/login", "X-User", user)
		fmt.Println(user, w.Code, w.Header().Get("RateLimit"))
	}

	// Output:
	// alice 200 "user";r=1;t=30, "address";r=4;t=12
	// alice 200 "user";r=0;t=30, "address";r=3;t=12
	// alice 429 "user";r=0;t=30, "address";r=3;t=12
	// bob 200 "user";r=1;t=30, "address";r=2;t=12
}

func ExampleChargeIf() {
	// Only failed logins count.
	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Password") != "sesame" {
			http.Error(w, "wrong", http.StatusUnauthorized)
		}
	})
	limit := must(httpmw.New(newMemory(), bucket.MustRule("login", "2/minute"), httpmw.ClientIP(),
		httpmw.ChargeIf(func(status int, _ http.Header) bool { return status == http.StatusUnauthorized })))

	for _, password := range []string{"sesame", "sesame", "open", "sesame", "please", "sesame"} {
		w := send(limit(login), "POST", "/login", "X-Password", password)
		fmt.Println(password, w.Code, w.Header().Get("RateLimit"))
	}

	// Output:
	// sesame 200 "2 per 1 minute";r=2;t=0
	// sesame 200 "2 per 1 minute";r=2;t=0
	// open 401 "2 per 1 minute";r=1;t=30
	// sesame 200 "2 per 1 minute";r=1;t=30
	// please 401 "2 per 1 minute";r=0;t=30
	// sesame 429 "2 per 1 minute";r=0;t=30
}

func ExampleSkipIf() {
	// What comes from the office isn't limited, and neither is what probes health.
	client, err := httpmw.NewAddress(httpmw.AddressConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	limit := must(httpmw.New(newMemory(), bucket.MustRule("api", "0/minute"), client.Key,
		httpmw.SkipIf(client.In(netip.MustParsePrefix("198.51.100.0/24"))),
		httpmw.SkipIf(func(r *http.Request) bool { return r.URL.Path == "/health" })))

	for _, from := range []string{"198.51.100.9:4711", "203.0.113.7:4711"} {
		for _, path := range []string{"/", "/health"} {
			r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
			r.RemoteAddr = from
			limit(page).ServeHTTP(w, r)
			fmt.Println(from, path, w.Code)
		}
	}

	// Output:
	// 198.51.100.9:4711 / 200
	// 198.51.100.9:4711 /health 200
	// 203.0.113.7:4711 / 429
	// 203.0.113.7:4711 /health 200
}
