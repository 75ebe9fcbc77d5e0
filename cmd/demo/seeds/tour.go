package seeds

import (
	"io"
	"net/http"
	"strconv"

	"github.com/shoal-dev/shoal/httpmw"
)

// Tour is the application of the tour through Flask-Limiter: defaults for every route,
// routes with limits of their own, in place of them or beside them, one that is
// exempt, keys of another kind, several limits and another answer than Flask's.
// Flask-Limiter's strategy is the fixed window, unless another is chosen.
//
//	GET  /             10/minute
//	GET  /plain        the defaults, 200/day and 50/hour
//	GET  /other        the same, counted by itself
//	GET  /ping/        1/second beside the defaults
//	GET  /exempt       no limit
//	GET  /key          2/minute of the key in X-API-Key
//	GET  /answer       1/minute, with an answer of its own
//	GET  /several      100/day;10/hour;1/minute in one rule
//	GET  /three        the same in three rules
//	GET  /notation/0   10 per second
//	GET  /notation/1   60/hour
//	GET  /notation/2   5/second;60 per minute;2500 per hour
//	GET  /notation/3   50/day, 250/7days
//
// Not so in the seed: the page of a refusal is a problem document, and the headers
// are those of the draft; Tutorial has Flask's page.
func Tour(l httpmw.Limiter, client httpmw.KeyFunc) (http.Handler, error) {
	s := limits{limiter: l, system: "tour"}
	mux := http.NewServeMux()
	get := func(path string, h http.Handler) { mux.Handle("GET "+path, h) }

	const usual = "200/day fixed; 50/hour fixed"
	perRoute := httpmw.All(httpmw.Route(), client)
	defaults := s.limit("default", usual, perRoute)
	get("/{$}", s.limit("index", "10/minute fixed", client)(text("Welcome to my Flask API")))
	get("/plain", defaults(text("plain")))
	get("/other", defaults(text("other")))
	// Together, so that what the one refuses doesn't cost under the other.
	get("/ping/", s.limit("ping", "1/second fixed", client, httpmw.And(s.rule("default", usual), perRoute))(text("pong")))
	get("/exempt", text("pong"))
	// Not so in the seed, where a request without a key isn't limited: here it gets 400.
	get("/key", s.limit("key", "2/minute fixed", httpmw.Hashed(httpmw.Header("X-API-Key")))(text("yours")))
	get("/answer", s.limit("answer", "1/minute fixed", client, httpmw.Answer(httpmw.Answers{Refused: exceeded}))(text("fine")))

	const day, hour, minute = "100/day fixed", "10/hour fixed", "1/minute fixed"
	and := func(name, words string) httpmw.Option { return httpmw.And(s.rule(name, words), client) }
	get("/several", s.limit("several", day+"; "+hour+"; "+minute, client)(text("fine")))
	get("/three", s.limit("day", day, client, and("hour", hour), and("minute", minute))(text("fine")))
	for i, words := range notations() {
		get("/notation/"+strconv.Itoa(i), s.limit("notation "+strconv.Itoa(i), words, client)(text("fine")))
	}
	return s.serve(mux)
}

// notations are ways to write a limit. Not so in the seed: without "fixed" they are token
// buckets here.
func notations() []string {
	return []string{"10 per second", "60/hour", "5/second;60 per minute;2500 per hour", "50/day, 250/7days"}
}

// exceeded is the answer of an error handler. Not so in the seed: what its handler
// returns is sent as 200, by an oversight.
func exceeded(w http.ResponseWriter, _ *http.Request, _ httpmw.Refusal) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "You have exceeded your rate-limit")
}
