package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	systems "github.com/shoal-dev/shoal/cmd/demo/seeds"
)

func tutorial(r *replica) http.Handler { return r.seed(systems.Tutorial(r.Node, client())) }

const (
	postAnswer = `{"message":"This was a POST"}` + "\n"
	getAnswer  = `{"message":"This was a GET"}` + "\n"

	// tooMany is the page of Flask, to the letter.
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
			{400 * time.Millisecond, "GET /resource/test as Accept: */*", 429, tooMany, "Retry-After: 10\nContent-Type: text/html; charset=utf-8\nCache-Control: no-store"},
			{500 * time.Millisecond, "GET /resource/test as Accept: application/json", 429, problem, "Content-Type: application/problem+json"},

			// The route's limit stands in place of the group's, of 1 per second.
			{1500 * time.Millisecond, "5 GET /resource/test", 429, tooMany, "Retry-After: 9"},

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
			{30 * time.Second, "GET /resource/other", 200, "{\"message\":\"This is another\"}\n", ""},
			{30 * time.Second, "GET /resource/third", 200, "{\"message\":\"This is a third\"}\n", ""},
			{30400 * time.Millisecond, "GET /resource/other", 429, "", "RateLimit: \"1 per 1 second fixed\";r=0;t=1\nRetry-After: 1"},
			{31500 * time.Millisecond, "GET /resource/other", 200, "{\"message\":\"This is another\"}\n", ""},
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
		owner := f.replicas[0].Owner(bucket.MustRule("tutorial resource", "1 per 10 second fixed"), clientAddress)
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
