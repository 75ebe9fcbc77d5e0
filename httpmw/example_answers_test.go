package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

func ExampleAnswers() {
	answers := httpmw.Answers{
		X:        httpmw.XFields{Limit: "X-RateLimit-Limit", Remaining: "X-RateLimit-Remaining", Reset: "X-RateLimit-Reset", Delta: true},
		Expose:   true,
		ByAccept: true,
		Message: func(_ *http.Request, why httpmw.Refusal) string {
			after, _ := why.RetryAfter()
			return fmt.Sprintf("Come back in %v.", after.Round(time.Second))
		},
	}
	limit := must(httpmw.New(newMemory(), bucket.MustRule("api", "1/minute"), httpmw.ClientIP(), httpmw.Answer(answers)))
	send(limit(page), "GET", "/")
	w := send(limit(page), "GET", "/", "Accept", "text/html")
	fmt.Println(w.Code)
	for _, name := range []string{"RateLimit", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Content-Type"} {
		fmt.Printf("%s: %s\n", name, w.Header().Get(name))
	}
	fmt.Print(w.Body)

	// Output:
	// 429
	// RateLimit: "1 per 1 minute";r=0;t=60
	// Retry-After: 60
	// X-RateLimit-Limit: 1
	// X-RateLimit-Remaining: 0
	// X-RateLimit-Reset: 60
	// Content-Type: text/html; charset=utf-8
	// <!doctype html>
	// <html lang=en>
	// <title>429 Too Many Requests</title>
	// <h1>Too Many Requests</h1>
	// <p>Come back in 1m0s.</p>
}

func ExampleAnswers_refused() {
	refused := func(w http.ResponseWriter, _ *http.Request, why httpmw.Refusal) {
		if why.Penalized() {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprintln(w, "You have exceeded your rate-limit.") // with why.Status
	}
	limit := must(httpmw.New(newMemory(), bucket.MustRule("api", "1/second; penalty 2/hour"), httpmw.ClientIP(), httpmw.Answer(httpmw.Answers{Refused: refused})))

	show(limit(page), "GET /a", "GET /b", "GET /c")

	// Output:
	// GET /a 200
	// GET /b 429
	// GET /c 403
}

// A handler that knows better than any middleware when to charge decides by itself,
// and answers as a middleware does; a function without a request is given its
// context.
func ExampleRefuse() {
	node := newMemory()
	rule := bucket.MustRule("search", "1/minute")
	search := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("q") == "cached" {
			return // costs nothing
		}
		d, err := node.Take(r.Context(), rule, "alice", 1)
		switch {
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		case !d.Allowed:
			httpmw.Refuse(w, r, rule, d)
		default:
			httpmw.SetHeaders(w.Header(), rule, d)
		}
	})

	show(search, "GET /?q=new", "GET /?q=cached", "GET /?q=other")

	// Output:
	// GET /?q=new 200
	// GET /?q=cached 200
	// GET /?q=other 429
}

// What is limited needn't be a route: a middleware wraps any part of a handler.
func Example_partOfAHandler() {
	limit := must(httpmw.New(newMemory(), bucket.MustRule("render", "1/minute"), httpmw.ClientIP()))
	render := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "rendered") }))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cached" {
			fmt.Fprintln(w, "cached")
			return
		}
		render.ServeHTTP(w, r)
	})

	show(handler, "GET /a", "GET /cached", "GET /b")

	// Output:
	// GET /a 200
	// GET /cached 200
	// GET /b 429
}

func ExampleFromContext() {
	limit := must(httpmw.New(newMemory(), bucket.MustRule("api", "1/minute"), httpmw.ClientIP()))
	logged := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			for _, d := range httpmw.FromContext(r.Context()) {
				fmt.Printf("%s: rule %s, limit %s: allowed %t, %d left\n", r.URL.Path, d.Rule.Name(), d.Decision.Limit, d.Decision.Allowed, d.Decision.Remaining)
			}
		})
	}
	h := httpmw.Record(logged(limit(page)))
	for _, target := range []string{"/a", "/b"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}

	// Output:
	// /a: rule api, limit 1 per 1 minute: allowed true, 0 left
	// /b: rule api, limit 1 per 1 minute: allowed false, 0 left
}
