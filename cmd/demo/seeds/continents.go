package seeds

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/httpmw"
)

// Password lets any user in to the continents.
const Password = "EXAMPLE_PASSWORD"

// List returns the names of the continents in the order of the alphabet. It may be
// called by several goroutines at once, and ends when ctx does.
type List func(ctx context.Context) ([]string, error)

// Continents is the API of the guide to a raw http.server with Redis: seven continents
// for whoever gives a name and a password, five times in the 60 s from the first.
// The path and the query are no part of the key.
//
// Not so in the seed: a refusal has the status 429 (200 there) and Retry-After, and
// the key is a digest of the user's name, after the password was checked (there
// both are the key, in plain sight, and anything is let in). It is exact when
// requests come at once; the guide reads the count and writes it back. What list
// can't read is a 503 and a line in log.
func Continents(l httpmw.Limiter, list List, log *slog.Logger) (http.Handler, error) {
	s := limits{limiter: l, system: "continents"}
	limit := s.limit("user", "5/minute fixed", httpmw.Hashed(httpmw.BasicUser()), httpmw.Answer(httpmw.Answers{Refused: notAllowed}))
	return s.serve(httpmw.Record(authenticated(limit(continents{list, log}))))
}

// notAllowed tells the seconds that are truly left.
func notAllowed(w http.ResponseWriter, _ *http.Request, why httpmw.Refusal) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	wait, known := why.RetryAfter()
	if !known { // no decision could be made
		_, _ = io.WriteString(w, "The limit can't be asked for at the moment.\r\n")
		return
	}
	seconds := int64((wait + time.Second - 1) / time.Second)
	fmt.Fprintf(w, "You're not allowed to access this resource. Wait %d seconds before trying again.\r\n", seconds)
}

type continents struct {
	list List
	log  *slog.Logger
}

// ServeHTTP implements http.Handler.
func (c continents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	names, err := c.list(r.Context())
	if err != nil {
		c.log.Error("the continents can't be read", "error", err)
		http.Error(w, "The continents can't be read at the moment.", http.StatusServiceUnavailable)
		return
	}
	body, err := json.MarshalIndent(names, "", "  ")
	if err != nil { // strings always marshal
		c.log.Error("the continents can't be written", "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	for _, d := range httpmw.FromContext(r.Context()) {
		w.Header().Set("Counted-Under", d.Key)
	}
	_, _ = w.Write(append(body, "\r\n"...)) // the client may have gone
}

// authenticated lets users in with the one password. Not so in the seed, which
// crashes without credentials.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		// Digests, so that the time it takes doesn't tell the length either.
		got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(Password))
		if user == "" || subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="continents"`)
			http.Error(w, "Who are you? Give a name and the password.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
