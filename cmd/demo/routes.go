package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/seeds"
	"github.com/shoal-dev/shoal/httpmw"
)

// groupLimit is what a route under /resource gets without a limit of its own.
const groupLimit = "1/second"

// newRoutes is the service of one replica. client tells its clients apart; ready
// says whether it should be sent any. continents is what their API serves.
func newRoutes(node *cluster.Node, client httpmw.KeyFunc, ready func() bool, continents seeds.List, log *slog.Logger) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /test", hello)

	// A rule is known by its name: the name of the route, so that each has a
	// bucket of its own. Two patterns of one route share it.
	test, err1 := httpmw.New(node, bucket.MustRule("/resource/test", "1 per 10 second"), client)
	other, err2 := httpmw.New(node, bucket.MustRule("/resource/other", groupLimit), client)
	// The client may say which user it is, so one at one address can play several.
	two, err3 := httpmw.New(node, bucket.MustRule("/slow", slowLimit), user(client))
	systems, err4 := seeds.New(node, client, continents, log)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	limited := test(http.HandlerFunc(resource))
	mux.Handle("GET /resource/test", limited)
	mux.Handle("POST /resource/test", limited)
	mux.Handle("GET /resource/other", other(http.HandlerFunc(resource)))

	mux.Handle("GET /slow", slow(two))

	mux.Handle("GET /try", try{node})
	mux.Handle("POST /try", try{node})
	for _, prefix := range []string{"/tutorial/", "/tour/", "/snippet/", "/continents", "/continents/"} {
		mux.Handle(prefix, systems)
	}
	mux.Handle("GET /cluster", members(node))
	mux.Handle("GET /healthz", healthz())
	mux.Handle("GET /readyz", readyz(ready))
	return servedBy(node.Name(), mux), nil
}

const servedByHeader = "X-Served-By"

// servedBy makes every answer name who gave it.
func servedBy(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(servedByHeader, name)
		next.ServeHTTP(w, r)
	})
}

// routesPage is what there is, for whoever comes with no path.
const routesPage = `Shoal's demo: replicas of one service with one set of limits.

/_shoal/          the dashboard, where the load balancer and all replicas are one program
/test             no limit
/resource/test    1 per 10 second and client
/resource/other   1 per second and client
/slow             takes ms=500, and 2 of a user run at a time: ?ms=500&user=alice
/try              any limit for any key: ?limit=10/minute&key=alice&cost=1
/continents       5 in 60 s for each user: curl -u john_doe:EXAMPLE_PASSWORD
/cluster          the members and the table of owners, as this replica sees them
/healthz          200 while it serves
/readyz           200 once it has joined and its table is settled

The systems of tutorials are below /tutorial/, /tour/ and /snippet/. X-Served-By says which replica answered.
`

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, routesPage)
}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Hello, World!")
}

func resource(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead { // which the mux lets through as a GET
		method = http.MethodGet
	}
	writeJSON(w, http.StatusOK, struct {
		Message string `json:"message"`
	}{"This was a " + method})
}
