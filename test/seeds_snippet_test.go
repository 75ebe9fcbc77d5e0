package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	systems "github.com/shoal-dev/shoal/cmd/demo/seeds"
)

func snippet(r *replica) http.Handler { return r.seed(systems.Snippet(r.Node, client())) }

func TestSeedSnippet(t *testing.T) {
	// The end of the window, 00:01:00 and 00:02:00 on the first day of 2000. Not so in
	// the seed: where another replica has counted, what is left of the window has
	// been on the way, and the end, rounded up, is the next second.
	const (
		first  = "X-RateLimit-Reset: 946684860 or 946684861\n"
		second = "X-RateLimit-Reset: 946684920 or 946684921\n"
		none   = "X-RateLimit-Limit:\nX-RateLimit-Remaining:\nX-RateLimit-Reset:\nRateLimit:\nRateLimit-Policy:\n"
	)
	left := func(n int, reset string) string {
		return fmt.Sprintf("X-RateLimit-Limit: 4\nX-RateLimit-Remaining: %d\n%sRateLimit:\nRateLimit-Policy:", n, reset)
	}
	story(t, func(f *fleet) {
		s := f.open(snippet)
		s.opened = time.Unix(946684800, 0) // so that the times below are those of the minute
		const at = 20 * time.Second
		s.play([]step{
			{at, "GET /rate-limited", 200, "3 of 4 left", left(3, first) + "\nRetry-After:"},
			{at, "GET /rate-limited", 200, "2 of 4 left", left(2, first)},
			{at, "GET /rate-limited", 200, "1 of 4 left", left(1, first)},
			{at, "GET /rate-limited", 200, "0 of 4 left", left(0, first)},
			{at, "3 GET /rate-limited", 429, "You hit the rate limit", left(0, first) + "\nRetry-After: 40"},
			{at, "4 GET /rate-limited as 203.0.113.2", 200, "", ""},

			// Without headers.
			{at, "4 GET /silent", 200, "fine", none},
			{at, "GET /silent", 429, "You hit the rate limit", none},

			// Counted and told, and never refused.
			{at, "3 GET /shadow", 200, "fine", ""},
			{at, "GET /shadow", 200, "fine", left(0, first)},
			{at, "10 GET /shadow", 200, "fine", left(0, first) + "\nRetry-After:"},

			// By address and user.
			{at, "4 GET /user as 203.0.113.1, X-User: ann", 200, "fine", ""},
			{at, "GET /user as 203.0.113.1, X-User: ann", 429, "", ""},
			{at, "4 GET /user as 203.0.113.2, X-User: ann", 200, "fine", ""},
			{at, "GET /user as 203.0.113.2, X-User: ann", 429, "", ""},
			{at, "4 GET /user as 203.0.113.2, X-User: bob", 200, "fine", ""},

			// The window ends with the minute, 40 s after its first hit.
			{59900 * time.Millisecond, "GET /rate-limited", 429, "", "Retry-After: 1"},
			{61 * time.Second, "GET /rate-limited", 200, "3 of 4 left", left(3, second)},
			{61 * time.Second, "3 GET /rate-limited", 200, "", second},
			{61 * time.Second, "GET /rate-limited", 429, "", second + "Retry-After: 59"},
			{61 * time.Second, "GET /shadow", 200, "fine", left(3, second)},
		})
	})
}
