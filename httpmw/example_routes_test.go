package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// page is a handler that answers 200.
var page = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// show calls h by each of the requests, "GET /a", and prints the statuses.
func show(h http.Handler, requests ...string) {
	for _, request := range requests {
		var method, target string
		fmt.Sscan(request, &method, &target)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		fmt.Println(request, w.Code)
	}
}

// must is for examples; a service looks at the error.
func must(limit func(http.Handler) http.Handler, err error) func(http.Handler) http.Handler {
	if err != nil {
		panic(err)
	}
	return limit
}

// A limit around a mux is shared by all its routes, and those that it hasn't got:
// a limit of the whole application.
func Example_global() {
	mux := http.NewServeMux()
	mux.Handle("/a", page)
	mux.Handle("/b", page)
	limit := must(httpmw.New(newMemory(), bucket.MustRule("app", "2/minute"), httpmw.ClientIP()))

	show(limit(mux), "GET /a", "GET /b", "GET /a", "GET /nothing")

	// Output:
	// GET /a 200
	// GET /b 200
	// GET /a 429
	// GET /nothing 429
}

// A default for all routes, each counted by itself: one limit, around each handler,
// whose key has the route in it.
func Example_defaultsPerRoute() {
	limit := must(httpmw.New(newMemory(), bucket.MustRule("default", "1/minute"), httpmw.All(httpmw.Route(), httpmw.ClientIP())))
	mux := http.NewServeMux()
	handle := func(pattern string, h http.Handler) { mux.Handle(pattern, limit(h)) }
	handle("/a", page)
	handle("/items/{id}", page)

	show(mux, "GET /a", "GET /items/1", "GET /a", "GET /items/2", "GET /nothing")

	// Output:
	// GET /a 200
	// GET /items/1 200
	// GET /a 429
	// GET /items/2 429
	// GET /nothing 404
}

// Some routes that share a limit: those that are wrapped by it.
func Example_sharedByRoutes() {
	database := must(httpmw.New(newMemory(), bucket.MustRule("database", "2/minute"), httpmw.ClientIP()))
	mux := http.NewServeMux()
	mux.Handle("/search", database(page))
	mux.Handle("/report", database(page))
	mux.Handle("/about", page)

	show(mux, "GET /search", "GET /report", "GET /search", "GET /about")

	// Output:
	// GET /search 200
	// GET /report 200
	// GET /search 429
	// GET /about 200
}

// Within a group that is limited handler by handler, a route has its own limit in
// place of the group's, beside it, or none.
func Example_ownLimitOfARoute() {
	node := newMemory()
	group := must(httpmw.New(node, bucket.MustRule("group", "2/minute"), httpmw.All(httpmw.Route(), httpmw.ClientIP())))
	export := must(httpmw.New(node, bucket.MustRule("export", "1/minute"), httpmw.ClientIP()))
	mux := http.NewServeMux()
	mux.Handle("/list", group(page))
	mux.Handle("/export", export(page))            // in place of the group's
	mux.Handle("/export/all", group(export(page))) // beside it
	mux.Handle("/health", page)                    // none

	show(mux, "GET /list", "GET /list", "GET /list", "GET /export", "GET /export", "GET /export/all", "GET /health")

	// Output:
	// GET /list 200
	// GET /list 200
	// GET /list 429
	// GET /export 200
	// GET /export 429
	// GET /export/all 429
	// GET /health 200
}

// Around a whole group, a mux, a limit leaves out routes with a limit of their own,
// static files, and what the mux has no handler for.
func ExampleMatches() {
	node := newMemory()
	export := must(httpmw.New(node, bucket.MustRule("export", "2/minute"), httpmw.ClientIP()))
	mux := http.NewServeMux()
	mux.Handle("GET /list", page)
	mux.Handle("GET /export", export(page))
	mux.Handle("GET /static/", page)
	group := must(httpmw.New(node, bucket.MustRule("group", "1/minute"), httpmw.ClientIP(),
		httpmw.SkipIf(httpmw.Matches(mux, "GET /export", "GET /static/", ""))))

	show(group(mux), "GET /list", "GET /list", "GET /export", "GET /export", "GET /export", "GET /static/a.css", "GET /nothing", "PUT /list")

	// Output:
	// GET /list 200
	// GET /list 429
	// GET /export 200
	// GET /export 200
	// GET /export 429
	// GET /static/a.css 200
	// GET /nothing 404
	// PUT /list 405
}

// Methods of a route share its limit, unless the key tells them apart, or they have
// patterns and limits of their own.
func Example_perMethod() {
	node := newMemory()
	each := must(httpmw.New(node, bucket.MustRule("each", "1/minute"), httpmw.All(httpmw.Method(), httpmw.ClientIP())))
	writes := must(httpmw.New(node, bucket.MustRule("writes", "1/hour"), httpmw.ClientIP()))
	mux := http.NewServeMux()
	mux.Handle("/each", each(page))
	mux.Handle("GET /item", page)
	mux.Handle("PUT /item", writes(page))
	mux.Handle("DELETE /item", writes(page))

	show(mux, "GET /each", "PUT /each", "GET /each", "GET /item", "PUT /item", "DELETE /item", "GET /item")

	// Output:
	// GET /each 200
	// PUT /each 200
	// GET /each 429
	// GET /item 200
	// PUT /item 200
	// DELETE /item 429
	// GET /item 200
}
