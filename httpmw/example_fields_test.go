package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

func ExampleSetHeaders() {
	// Each row of an export costs a token, which only the handler can count.
	rule := bucket.MustRule("export", "1000/hour")
	limiter := newLocal()
	export := func(w http.ResponseWriter, r *http.Request) {
		const rows = 600
		d, err := limiter.Take(r.Context(), rule, "alice", rows)
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		httpmw.SetHeaders(w.Header(), rule, d)
		if !d.Allowed {
			http.Error(w, "too many rows", http.StatusTooManyRequests)
			return
		}
		fmt.Fprintln(w, "the rows")
	}

	for range 2 {
		w := httptest.NewRecorder()
		export(w, httptest.NewRequest("GET", "/export", nil))
		fmt.Println(w.Code)
		for _, name := range []string{"RateLimit-Policy", "RateLimit", "Retry-After"} {
			for _, value := range w.Header().Values(name) {
				fmt.Printf("%s: %s\n", name, value)
			}
		}
	}

	// Output:
	// 200
	// RateLimit-Policy: "1000 per 1 hour";q=1000;w=3600
	// RateLimit: "1000 per 1 hour";r=400;t=4
	// 429
	// RateLimit-Policy: "1000 per 1 hour";q=1000;w=3600
	// RateLimit: "1000 per 1 hour";r=400;t=720
	// Retry-After: 720
}
