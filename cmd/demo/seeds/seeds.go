// Package seeds has the systems that Shoal wants to be a better home for: the
// applications of four tutorials on rate limiting, as handlers that any number of
// replicas serve together.
//
//	Tutorial    Flask-Limiter with memcached behind several workers
//	Tour        a tour through the features of Flask-Limiter
//	Snippet     Ronacher's snippet for Flask and Redis
//	Continents  an API on a raw http.server, limited by a counter in Redis
//
// Each is complete, with the limits, the texts and the headers of its tutorial, and
// begins at the root; New puts them side by side under /tutorial, /tour, /snippet
// and /continents. Where an answer is another on purpose, a comment that begins
// with "Not so in the seed" says why. The names of their rules begin with that of
// the system, so they share a cluster with each other and anything else.
package seeds

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// New returns all systems, each under its prefix. l decides, client tells clients
// apart, and list knows the continents; what it can't read is told to log.
func New(l httpmw.Limiter, client httpmw.KeyFunc, list List, log *slog.Logger) (http.Handler, error) {
	tutorial, err1 := Tutorial(l, client)
	tour, err2 := Tour(l, client)
	snippet, err3 := Snippet(l, client)
	continents, err4 := Continents(l, list, log)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/tutorial/", http.StripPrefix("/tutorial", tutorial))
	mux.Handle("/tour/", http.StripPrefix("/tour", tour))
	mux.Handle("/snippet/", http.StripPrefix("/snippet", snippet))
	mux.Handle("/continents", continents)
	mux.Handle("/continents/", continents)
	return mux, nil
}

// limits makes the middlewares of one system and gathers what is wrong.
type limits struct {
	limiter httpmw.Limiter
	system  string // with which the names of its rules begin
	errs    []error
}

// rule makes a rule in words.
func (l *limits) rule(name, words string) *bucket.Rule {
	r, err := bucket.ParseRule(l.system+" "+name, words)
	l.errs = append(l.errs, err)
	return r
}

// limit makes the middleware of a rule in words.
func (l *limits) limit(name, words string, key httpmw.KeyFunc, opts ...httpmw.Option) func(http.Handler) http.Handler {
	limit, err := httpmw.New(l.limiter, l.rule(name, words), key, opts...)
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("seeds: %s %s: %w", l.system, name, err))
		return func(next http.Handler) http.Handler { return next } // never served
	}
	return limit
}

// serve returns the system, unless something is wrong with it.
func (l *limits) serve(h http.Handler) (http.Handler, error) {
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	return h, nil
}

// text answers with it.
func text(s string) http.Handler { return typed("text/plain; charset=utf-8", s) }

func typed(contentType, s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, s) // the client may have gone
	})
}
