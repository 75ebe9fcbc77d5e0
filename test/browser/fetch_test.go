package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/shoal-dev/shoal/httpmw"
)

// answer is a response as a script sees it: fields that it may not read are "".
type answer struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Limit  string `json:"limit"`
	Policy string `json:"policy"`
	Retry  string `json:"retry"`
}

// A script of another origin reads the fields that tell of limits, comes back when
// they say so, and is served; its preflights cost nothing.
func TestFetch(t *testing.T) {
	a := newAPI(t, httpmw.Answers{Expose: true})
	page := openPage(t)

	first := page.buy(a, "/items")
	if len(first) != 1 || first[0].Status != 200 || !left(first[0], 0) || first[0].Retry != "" {
		t.Errorf("the first: the script saw %+v", first)
	}
	then := page.buy(a, "/rush")
	seen := a.visits()
	if len(seen) != 6 || len(then) != 2 {
		t.Fatalf("the API saw %+v, the script %+v", seen, then)
	}
	refused, served := then[0], then[1]
	if refused.Status != 429 || !left(refused, 0) || refused.Retry == "" || refused.Retry != seen[3].retry || refused.Type != "application/problem+json" {
		t.Errorf("refused: the script saw %+v, the API sent %+v", refused, seen[3])
	}
	if served.Status != 200 || !left(served, 0) || served.Retry != "" {
		t.Errorf("served: the script saw %+v", served)
	}
	if due := seen[3].due(t); seen[4].came.Before(due) {
		t.Errorf("the browser was back %v early: %+v", due.Sub(seen[4].came), seen)
	}
	for i, want := range []string{"OPTIONS /items", "GET /items", "OPTIONS /rush", "GET /rush", "OPTIONS /rush", "GET /rush"} {
		if preflight := i%2 == 0; seen[i].request != want || preflight && (seen[i].status != 204 || seen[i].limit != "") {
			t.Errorf("visit %d: want %s: %+v", i, want, seen[i])
		}
	}
}

// Without Answers.Expose the API sends the same, and the script sees none of it.
func TestFetchUnexposed(t *testing.T) {
	a := newAPI(t, httpmw.Answers{})
	answers := openPage(t).buy(a, "/rush")
	if want := []answer{{Status: 429, Type: "application/problem+json"}}; !slices.Equal(answers, want) {
		t.Errorf("the script saw %+v", answers)
	}
	if seen := a.visits(); len(seen) != 2 || seen[1].status != 429 || seen[1].limit == "" || seen[1].retry == "" {
		t.Errorf("the API saw %+v", seen)
	}
}

// left says whether the answer's fields are right, with so many requests remaining.
func left(a answer, remaining int) bool {
	return a.Policy == policy && strings.HasPrefix(a.Limit, fmt.Sprintf("%s;r=%d;t=", limitName, remaining))
}

// page is a tab of a browser.
type page struct {
	t   *testing.T
	ctx context.Context
}

func openPage(t *testing.T) page {
	t.Helper()
	p := newTab(t)
	files := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	t.Cleanup(files.Close)
	if err := chromedp.Do(p.ctx, chromedp.Navigate(files.URL+"/page.html")); err != nil {
		t.Fatal(err)
	}
	return p
}

// newTab is a tab of a browser that is closed with the test.
func newTab(t *testing.T) page {
	t.Helper()
	path := program(t, "chromium", "chromium-browser", "google-chrome")
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox) // root and containers have none, and all that it opens is ours
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		defer stop()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the tab lasts as long as the context that it was opened with
		t.Fatalf("%s: %v", path, err)
	}
	return page{t, ctx}
}

// buy is the buy of testdata/page.html.
func (p page) buy(a *api, path string) []answer {
	p.t.Helper()
	answers, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]answer](fmt.Sprintf("buy(%q, %q)", a.url, path), chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatal(err)
	}
	return answers
}
