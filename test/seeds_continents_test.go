package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/cmd/demo/atlas"
	systems "github.com/shoal-dev/shoal/cmd/demo/seeds"
)

func continents(r *replica) http.Handler {
	return r.seed(systems.Continents(r.Node, atlas.Embedded, slog.New(slog.DiscardHandler)))
}

func waitFor(seconds int64) string {
	return fmt.Sprintf("You're not allowed to access this resource. Wait %d seconds before trying again.\r\n", seconds)
}

func continentList() string {
	list, err := json.MarshalIndent([]string{"Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America"}, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(list) + "\r\n"
}

// basic is the header of a user.
func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestSeedContinents(t *testing.T) {
	list := continentList()
	john, jane := basic("john_doe", systems.Password), basic("jane_doe", systems.Password)
	const second = time.Second
	var steps []step
	for i := range 10 { // curl -u john_doe:EXAMPLE_PASSWORD "http://localhost:8080/?[1-10]"
		x := step{0, fmt.Sprintf("GET /?%d as %s", i+1, john), 200, list, fmt.Sprintf("RateLimit: \"5 per 1 minute fixed\";r=%d;t=60\nContent-Type: application/json", 4-i)}
		if i >= 5 {
			x.status, x.body, x.headers = 429, waitFor(60), "Retry-After: 60\nRateLimit: \"5 per 1 minute fixed\";r=0;t=60\nContent-Type: text/plain; charset=utf-8"
		}
		steps = append(steps, x)
	}
	steps = append(steps, []step{
		// Another user, a while later, has a window of their own.
		{10300 * time.Millisecond, "GET / as " + john, 429, waitFor(50), "Retry-After: 50"},
		{10300 * time.Millisecond, "5 GET / as " + jane, 200, list, ""},
		{10300 * time.Millisecond, "GET / as " + jane, 429, waitFor(60), "Retry-After: 60"},
		{30500 * time.Millisecond, "GET / as " + john + ", 203.0.113.2", 429, waitFor(30), ""},
		{30500 * time.Millisecond, "GET / as " + jane, 429, waitFor(40), ""},

		// Strangers are told so, and cost nobody anything.
		{40 * second, "9 GET /", 401, "", "WWW-Authenticate: Basic realm=\"continents\"\nRateLimit:"},
		{40 * second, "9 GET / as " + basic("ann", "guess"), 401, "", "RateLimit:"},
		{40 * second, "9 GET / as Authorization: Bearer x", 401, "", ""},
		{40 * second, "5 GET / as " + basic("ann", systems.Password), 200, list, ""},

		// The wait is over when it was said to be. The refusals were free.
		{59500 * time.Millisecond, "GET / as " + john, 429, waitFor(1), "Retry-After: 1"},
		{60500 * time.Millisecond, "5 GET / as " + john, 200, list, ""},
		{60500 * time.Millisecond, "GET / as " + john, 429, waitFor(60), ""},
		{60500 * time.Millisecond, "GET / as " + jane, 429, waitFor(10), ""},
		{71 * second, "5 GET / as " + jane, 200, list, ""},
	}...)
	story(t, func(f *fleet) { f.open(continents).play(steps) })
}

// Fifty requests at once, over all replicas: exactly five are served. The guide reads
// the count and writes it back, so there more are.
func TestSeedContinentsInParallel(t *testing.T) {
	story(t, func(f *fleet) {
		s := f.open(continents)
		for round := range 2 {
			time.Sleep(time.Duration(round) * 61 * time.Second)
			var mu sync.Mutex
			codes := map[int]int{}
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					w := s.ask(fmt.Sprintf("GET /?%d as %s", i, basic("john_doe", systems.Password)))
					mu.Lock()
					defer mu.Unlock()
					codes[w.Code]++
				})
			}
			all.Wait()
			if codes[200] != 5 || codes[429] != 45 {
				t.Errorf("round %d: %v", round, codes)
			}
		}
	})
}

// No replica is told who the user is, let alone the password.
func TestSeedContinentsKeepTheirUsersToThemselves(t *testing.T) {
	story(t, func(f *fleet) {
		header := basic("john_doe", systems.Password)
		key := f.open(continents).ask("GET / as " + header).Header().Get("Counted-Under")
		_, credential, _ := strings.Cut(header, "Basic ")
		for _, secret := range []string{"john_doe", systems.Password, credential} {
			if key == "" || strings.Contains(key, secret) {
				t.Errorf("%q is counted under %q", secret, key)
			}
		}
	})
}
