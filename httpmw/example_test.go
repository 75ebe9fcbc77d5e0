package httpmw_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// local decides in this process, at a time that its owner sets. A service gives
// New its *cluster.Node instead.
type local struct {
	store *bucket.Store
	now   atomic.Int64 // in nanoseconds
}

func newLocal() *local { return &local{store: bucket.NewStore(bucket.StoreConfig{})} }

func (l *local) Take(_ context.Context, rule *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
	return l.store.Take(rule, key, tokens, l.now.Load()), nil
}

func ExampleNew() {
	rule := bucket.MustRule("api", "2/minute")
	limit, err := httpmw.New(newLocal(), rule, httpmw.ClientIP())
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	api := limit(mux) // all that the mux serves counts together

	for range 3 {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
		fmt.Print(w.Code, " RateLimit: ", w.Header().Get("RateLimit"), "\n", w.Body)
	}

	// Output:
	// 200 RateLimit: "2 per 1 minute";r=1;t=30
	// hello
	// 200 RateLimit: "2 per 1 minute";r=0;t=30
	// hello
	// 429 RateLimit: "2 per 1 minute";r=0;t=30
	// {"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"detail":"2 per 1 minute","instance":"/hello","violated-policies":["2 per 1 minute"]}
}
