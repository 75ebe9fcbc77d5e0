package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	systems "github.com/shoal-dev/shoal/cmd/demo/seeds"
	"github.com/shoal-dev/shoal/httpmw"
)

func tour(r *replica) http.Handler { return r.seed(systems.Tour(r.Node, client())) }

func TestSeedTour(t *testing.T) {
	story(t, func(f *fleet) {
		f.open(tour).play([]step{
			// A limit of its own, which stands in place of the defaults.
			{0, "10 GET /", 200, "Welcome to my Flask API", "RateLimit-Policy: \"10 per 1 minute fixed\";q=10;w=60\nRetry-After:"},
			{0, "GET /", 429, "", "RateLimit: \"10 per 1 minute fixed\";r=0;t=60\nRetry-After: 60"},

			// The defaults of every route, each counted by itself.
			{0, "50 GET /plain", 200, "plain", "RateLimit-Policy: \"200 per 1 day fixed\";q=200;w=86400, \"50 per 1 hour fixed\";q=50;w=3600"},
			{0, "GET /plain", 429, "", "RateLimit: \"50 per 1 hour fixed\";r=0;t=3600\nRetry-After: 3600"},
			{0, "GET /other", 200, "other", "RateLimit: \"50 per 1 hour fixed\";r=49;t=3600"},

			// Exempt.
			{0, "60 GET /exempt", 200, "pong", "RateLimit:\nRateLimit-Policy:"},

			// A key of its own: that of a client's API.
			{0, "2 GET /key as X-API-Key: a", 200, "yours", ""},
			{0, "GET /key as X-API-Key: a", 429, "", "Retry-After: 60"},
			{0, "GET /key as X-API-Key: a, 203.0.113.2", 429, "", ""},
			{0, "2 GET /key as X-API-Key: b", 200, "yours", ""},
			// Not so in the seed, where a request without a key isn't limited.
			{0, "GET /key", 400, "", ""},

			// Another answer.
			{0, "GET /answer", 200, "fine", ""},
			{0, "GET /answer", 429, "You have exceeded your rate-limit", "Retry-After: 60"},

			// Ways to write a limit. Not so in the seed: without "fixed" they are token
			// buckets here, and t is when the next token comes.
			{0, "GET /notation/0", 200, "fine", "RateLimit-Policy: \"10 per 1 second\";q=10;w=1"},
			{0, "GET /notation/1", 200, "fine", "RateLimit-Policy: \"60 per 1 hour\";q=60;w=3600"},
			{0, "5 GET /notation/2", 200, "fine", "RateLimit-Policy: \"5 per 1 second\";q=5;w=1, \"60 per 1 minute\";q=60;w=60, \"2500 per 1 hour\";q=2500;w=3600"},
			{0, "GET /notation/2", 429, "", "RateLimit: \"5 per 1 second\";r=0;t=1"},
			{0, "GET /notation/3", 200, "fine", "RateLimit-Policy: \"50 per 1 day\";q=50;w=86400, \"250 per 7 day\";q=250;w=604800"},

			{59500 * time.Millisecond, "GET /", 429, "", "Retry-After: 1"},
			{60500 * time.Millisecond, "10 GET /", 200, "", ""},
			{60500 * time.Millisecond, "GET /", 429, "", "Retry-After: 60"},
		})
	})
}

// An own limit beside the defaults: 1 per second, and 50 in an hour.
func TestSeedTourBesideTheDefaults(t *testing.T) {
	steps := []step{
		{0, "GET /ping/", 200, "pong", ""},
		{0, "GET /ping/", 429, "", "Retry-After: 1"},
	}
	for i := range 49 {
		steps = append(steps, step{time.Duration(i+1) * 1500 * time.Millisecond, "GET /ping/", 200, "pong", ""})
	}
	steps = append(steps, step{75 * time.Second, "GET /ping/", 429, "", "Retry-After: 3525"})
	story(t, func(f *fleet) { f.open(tour).play(steps) })
}

// The hour's refusals don't cost of the day. A day of a fleet is long even where time
// is made up, so here ten seconds stand for an hour.
func TestSeedTourDay(t *testing.T) {
	app := func(r *replica) http.Handler {
		return r.limit("default", "day = 200 per 240 seconds fixed; hour = 50 per 10 seconds fixed", client())(text("plain"))
	}
	const hour = 10*time.Second + 100*time.Millisecond
	var steps []step
	for n := range time.Duration(4) {
		steps = append(steps, step{n * hour, "50 GET /plain", 200, "plain", ""})
		if n < 3 {
			steps = append(steps, step{n * hour, "30 GET /plain", 429, "", "RateLimit: \"hour\";r=0;t=10\nRetry-After: 10"})
		}
	}
	steps = append(steps, step{4 * hour, "3 GET /plain", 429, "", "RateLimit: \"day\";r=0;t=200\nRetry-After: 200"})
	story(t, func(f *fleet) { f.open(app).play(steps) })
}

// Several limits, in one rule or each in one of its own, are the same. Here a second
// stands for a minute, a minute for an hour and 24 of them for a day.
func TestSeedTourSeveralLimits(t *testing.T) {
	const day, hour, minute = "100 per 24 minutes fixed", "10/minute fixed", "1/second fixed"
	app := func(r *replica) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/one", r.limit("one", day+"; "+hour+"; "+minute, client())(text("fine")))
		mux.Handle("/three", r.limit("day", day, client(),
			httpmw.And(bucket.MustRule("hour", hour), client()),
			httpmw.And(bucket.MustRule("minute", minute), client()))(text("fine")))
		return mux
	}
	const later = time.Second + 50*time.Millisecond
	var steps []step
	for _, path := range []string{"/one", "/three"} {
		steps = append(steps,
			step{0, "GET " + path, 200, "fine", ""},
			step{0, "2 GET " + path, 429, "", "Retry-After: 1"})
	}
	for n := time.Duration(1); n < 10; n++ {
		steps = append(steps,
			step{n * later, "GET /one", 200, "fine", ""},
			step{n * later, "GET /three", 200, "fine", ""})
	}
	steps = append(steps,
		step{10 * later, "GET /one", 429, "", "Retry-After: 50"},
		step{10 * later, "GET /three", 429, "", "Retry-After: 50"})
	story(t, func(f *fleet) { f.open(app).play(steps) })
}

// The algorithms that the tour names, and operations that cost more than others.
func TestSeedTourAlgorithms(t *testing.T) {
	app := func(r *replica) http.Handler {
		mux := http.NewServeMux()
		for _, algorithm := range []string{"fixed", "sliding", "log", "token", "leaky"} {
			limits := "3/minute " + algorithm
			switch algorithm {
			case "token":
				limits = "3/minute"
			case "leaky":
				limits = "3 per 6 seconds leaky"
			}
			mux.Handle("/"+algorithm, r.limit(algorithm, limits, client())(text("fine")))
		}
		mux.Handle("GET /report", r.limit("report", "5/minute fixed", client())(text("read")))
		mux.Handle("POST /report", r.limit("report", "5/minute fixed", client(), httpmw.Cost(3))(text("made")))
		return mux
	}
	story(t, func(f *fleet) {
		s := f.open(app)
		s.play([]step{
			{0, "3 GET /fixed", 200, "", ""},
			{0, "GET /fixed", 429, "", "Retry-After: 60"},
			{0, "3 GET /log", 200, "", ""},
			{0, "GET /log", 429, "", "Retry-After: 60"},
			{0, "3 GET /token", 200, "", ""},
			{0, "GET /token", 429, "", "Retry-After: 20"},
			{0, "3 GET /sliding", 200, "", ""},
			{0, "GET /sliding", 429, "", "Retry-After: 60"},

			{0, "POST /report", 200, "made", "RateLimit: \"5 per 1 minute fixed\";r=2;t=60"},
			{0, "POST /report", 429, "", "Retry-After: 60"},
			{0, "2 GET /report", 200, "read", ""},
			{0, "GET /report", 429, "", ""},

			{20500 * time.Millisecond, "GET /token", 200, "", ""},
			{20500 * time.Millisecond, "GET /fixed", 429, "", ""},
			{20500 * time.Millisecond, "GET /log", 429, "", ""},
			{60500 * time.Millisecond, "3 GET /fixed", 200, "", ""},
			{60500 * time.Millisecond, "3 GET /log", 200, "", ""},
			{60500 * time.Millisecond, "GET /sliding", 200, "", ""}, // 2.98 of the window before count, in whole tokens
			{60500 * time.Millisecond, "GET /sliding", 429, "", "Retry-After: 20"},
			{81 * time.Second, "GET /sliding", 200, "", ""},
		})
		began := time.Now()
		s.play([]step{{0, "3 GET /leaky", 200, "fine", ""}}) // each at its turn
		if took := time.Since(began).Round(time.Second); took != 4*time.Second {
			t.Errorf("three requests have leaked in %v", took)
		}
	})
}
