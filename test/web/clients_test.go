package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// direct is a network on which every request reaches a handler at once.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r = r.Clone(r.Context())
	r.RemoteAddr = "192.0.2.1:4711"
	d.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// A client that honours Retry-After is refused once and served the second time,
// whichever form it has.
func TestRetryableClient(t *testing.T) {
	for name, x := range map[string]struct {
		answers httpmw.Answers
		longest time.Duration
	}{
		"seconds": {httpmw.Answers{}, 7 * time.Second},
		"a date":  {httpmw.Answers{RetryDate: true}, 7 * time.Second},
		"jitter":  {httpmw.Answers{Jitter: 3 * time.Second}, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			limit, err := httpmw.New(newLocal(), bucket.MustRule("rule", "1 per 7 seconds"), httpmw.ClientIP(), httpmw.Answer(x.answers))
			if err != nil {
				t.Fatal(err)
			}
			h := limit(http.HandlerFunc(served))
			client := retryablehttp.NewClient()
			client.Logger = nil
			client.HTTPClient = &http.Client{Transport: direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				h.ServeHTTP(w, r)
			})}}
			start := time.Now()
			for i, want := range []int{1, 3, 5} {
				response, err := client.Get("http://shop.example/")
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK || asked != want {
					t.Errorf("%s: request %d: %d after asking %d times", name, i, response.StatusCode, asked)
				}
			}
			if waited := time.Since(start); waited < 14*time.Second || waited > 2*x.longest {
				t.Errorf("%s: two refusals meant %v", name, waited)
			}
		})
	}
}
