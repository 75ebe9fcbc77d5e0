package seeds_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/cmd/demo/atlas"
	"github.com/shoal-dev/shoal/cmd/demo/seeds"
	"github.com/shoal-dev/shoal/httpmw"
)

func ExampleTutorial() {
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{}) // a cluster of one
	if err != nil {
		panic(err)
	}
	defer node.Close(ctx)
	tutorial, err := seeds.Tutorial(node, httpmw.ClientIP())
	if err != nil {
		panic(err)
	}
	for _, method := range []string{"POST", "GET"} {
		w := httptest.NewRecorder()
		tutorial.ServeHTTP(w, httptest.NewRequest(method, "/resource/test", nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 {"message":"This was a POST"}
	// 429 <!doctype html>
	// <html lang=en>
	// <title>429 Too Many Requests</title>
	// <h1>Too Many Requests</h1>
	// <p>1 per 10 second</p>
}

// open serves all systems on a cluster of one. The stories in test/seeds_*_test.go
// hold each of them to its transcript, over three.
func open(t *testing.T, list seeds.List) func(target, user string) *httptest.ResponseRecorder {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	h, err := seeds.New(node, httpmw.ClientIP(), list, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return func(target, user string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", target, nil)
		if user != "" {
			r.SetBasicAuth(user, seeds.Password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
}

// Side by side each system is under its prefix, and none counts for another.
func TestTheyLiveTogether(t *testing.T) {
	get := open(t, atlas.Embedded)
	for target, want := range map[string]string{
		"/tutorial/test":           "Hello, World!",
		"/tutorial/resource/test":  `{"message":"This was a GET"}` + "\n",
		"/tour/":                   "Welcome to my Flask API",
		"/tour/ping/":              "pong",
		"/tour/several":            "fine",
		"/tour/three":              "fine",
		"/tour/notation/3":         "fine",
		"/snippet/rate-limited":    "3 of 4 left",
		"/snippet/silent":          "fine",
		"/continents?1":            "[\n  \"Africa\",",
		"/continents/elsewhere?b=": "[\n  \"Africa\",",
	} {
		if w := get(target, "ann"); w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
	for _, target := range []string{"/tutorial/nowhere", "/tour/nowhere", "/tourist", "/"} {
		if w := get(target, ""); w.Code != 404 {
			t.Errorf("%s: %d, want 404", target, w.Code)
		}
	}
}

// What comes at once is counted one by one.
func TestContinentsAtOnce(t *testing.T) {
	get := open(t, atlas.Embedded)
	var mu sync.Mutex
	codes := map[int]int{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			w := get("/continents", "ann")
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		})
	}
	all.Wait()
	if codes[200] != 5 || codes[429] != 45 {
		t.Error(codes)
	}
}

// A database that is away is told in words that say nothing about it.
func TestContinentsUnread(t *testing.T) {
	get := open(t, func(context.Context) ([]string, error) { return nil, errors.New("10.1.2.3 refuses root") })
	w := get("/continents", "ann")
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "The continents can't be read at the moment.\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
