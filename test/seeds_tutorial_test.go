package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// ownLimit is that of the tutorial's one route with a limit of its own.
const ownLimit = "1 per 10 second fixed"

// tutorial is the application of the tutorial on Flask-Limiter with memcached: a group
// of routes whose default one of them replaces, and a route without a limit. Its
// three workers share a memcached; these replicas need nothing.
func tutorial(r *replica) http.Handler {
	pages := httpmw.Answer(httpmw.Answers{ByAccept: true, Message: flaskText})
	group := r.limit("group", "1/second fixed", httpmw.All(httpmw.Route(), client()), pages)
	own := r.limit("resource", ownLimit, client(), pages)
	mux := http.NewServeMux()
	mux.Handle("GET /test", text("Hello, World!"))
	mux.Handle("POST /resource/test", own(text(`{"message":"This was a POST"}`)))
	mux.Handle("GET /resource/test", own(text(`{"message":"This was a GET"}`)))
	mux.Handle("GET /resource/other", group(text("other")))
	mux.Handle("GET /resource/third", group(text("third")))
	return mux
}

// flaskText names a limit as Flask-Limiter does. Without it the text is the limit's own,
// which says how it counts as well: "1 per 10 second fixed".
func flaskText(_ *http.Request, why httpmw.Refusal) string {
	if len(why.By) == 0 {
		return http.StatusText(why.Status)
	}
	return strings.TrimSuffix(why.By[0].Decision.Limit.String(), " fixed")
}

const (
	postAnswer = `{"message":"This was a POST"}`
	getAnswer  = `{"message":"This was a GET"}`

	// tooMany is the page of Flask, to the letter. Not so in the seed, which sends it
	// to everybody: a client that doesn't ask for HTML gets a problem document (RFC
	// 9457), which a program can read.
	tooMany = "<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n<h1>Too Many Requests</h1>\n<p>1 per 10 second</p>\n"
	problem = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded",` +
		`"status":429,"detail":"1 per 10 second","instance":"/resource/test","violated-policies":["1 per 10 second fixed"]}` + "\n"
)

func TestSeedTutorial(t *testing.T) {
	const unlimited = "RateLimit:\nRateLimit-Policy:\nX-RateLimit-Limit:\nRetry-After:"
	story(t, func(f *fleet) {
		f.open(tutorial).play([]step{
			{0, "20 GET /test", 200, "Hello, World!", unlimited},

			// POST and GET share the route's bucket, on whatever replica they arrive.
			{0, "POST /resource/test", 200, postAnswer, "RateLimit: \"1 per 10 second fixed\";r=0;t=10\nRateLimit-Policy: \"1 per 10 second fixed\";q=1;w=10\nRetry-After:"},
			{400 * time.Millisecond, "GET /resource/test as Accept: text/html", 429, tooMany, "Retry-After: 10\nContent-Type: text/html; charset=utf-8\nCache-Control: no-store"},
			{500 * time.Millisecond, "GET /resource/test", 429, problem, "Content-Type: application/problem+json"},

			// The route's limit stands in place of the group's, of 1 per second.
			{1500 * time.Millisecond, "5 GET /resource/test as Accept: text/html", 429, tooMany, "Retry-After: 9"},

			// Others aren't affected, whatever address a client makes up.
			{1500 * time.Millisecond, "GET /resource/test as 203.0.113.2", 200, getAnswer, ""},
			{1500 * time.Millisecond, "GET /resource/test as X-Forwarded-For: 203.0.113.3", 429, "", ""},

			// Windows are half-open, and refusals have not made them longer. The first
			// request may have reached the owner of the key a latency late.
			{9900 * time.Millisecond, "GET /resource/test", 429, "", "Retry-After: 1"},
			{10*time.Second + latency, "GET /resource/test", 200, getAnswer, ""},
			{10*time.Second + latency, "POST /resource/test", 429, "", ""},
			{21 * time.Second, "POST /resource/test", 200, postAnswer, ""},

			// A route of the group without a limit of its own has the group's for itself.
			{30 * time.Second, "GET /resource/other", 200, "other", ""},
			{30 * time.Second, "GET /resource/third", 200, "third", ""},
			{30400 * time.Millisecond, "GET /resource/other", 429, "", "RateLimit: \"1 per 1 second fixed\";r=0;t=1\nRetry-After: 1"},
			{31500 * time.Millisecond, "GET /resource/other", 200, "other", ""},
		})
	})
}

// Beyond the seed: the replica that counts a client dies, and the service goes on.
func TestSeedTutorialLosesAReplica(t *testing.T) {
	story(t, func(f *fleet) {
		s := f.open(tutorial)
		s.play([]step{
			{0, "POST /resource/test", 200, postAnswer, ""},
			{0, "5 GET /resource/test", 429, "", "Retry-After: 10"},
		})
		owner := f.replicas[0].Owner(bucket.MustRule("resource", ownLimit), clientAddress)
		for _, r := range f.replicas {
			if r.Name() == owner {
				s.lose(r)
				break
			}
		}
		for range 4 { // until it is noticed, each of the others may let one through
			if w := s.ask("GET /resource/test"); w.Code != 200 && w.Code != 429 {
				t.Errorf("while the owner is missed: %d %s", w.Code, w.Body)
			}
		}
		s.play([]step{
			{30 * time.Second, "GET /resource/test", 200, getAnswer, ""},
			{30 * time.Second, "9 POST /resource/test", 429, "", "Retry-After: 10"},
			{30 * time.Second, "4 GET /test", 200, "Hello, World!", ""},
			{41 * time.Second, "POST /resource/test", 200, postAnswer, ""},
			{41 * time.Second, "3 POST /resource/test", 429, "", ""},
		})
	})
}
