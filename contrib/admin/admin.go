// Package admin is a page and a small API for whoever runs a service: who is in the
// cluster, who holds what, what rules are in force and in which mode, which keys are
// refused most, and what one key has left.
//
//	handler, err := admin.New(node, admin.Options{
//		Rules:     func() []*bucket.Rule { return slices.Collect(file.Set().All()) },
//		Authorize: func(r *http.Request) bool { return isOperator(r) },
//	})
//	...
//	mux.Handle("/shoal/", http.StripPrefix("/shoal", handler))
//
// Nothing is reachable unless the program mounts it, and without Authorize there is no
// handler: whoever it lets in may switch limits off, reset keys and see their text. Let
// it look at the session, certificate or token that the service knows its operators by,
// and serve it on a port that the world doesn't reach if there is one.
//
//	GET  /         all of it on one page, for a browser; it works without scripts
//	GET  /status   members and metrics
//	GET  /table    the 4096 partitions: who owns, holds and copies each
//	GET  /rules    the rules and their modes
//	GET  /denied   the most refused keys that this replica was asked about
//	POST /mode     rule, mode: enforce, shadow or off; on this replica, at once
//	POST /peek     rule, key, tokens: what Take would say; nothing is taken
//	POST /reset    rule, key: makes the key whole again, at all replicas
//
// Answers are JSON, or the page where a browser asks. What changes anything is a POST,
// and one that a page of another origin has made is refused (http.CrossOriginProtection).
// Keys are in the bodies of requests alone, not in addresses, which proxies log.
//
// It needs nothing of the other replicas: the page of one that is cut off shows what that
// one believes. It isn't for probes, which should ask Node.Ready.
package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// Options say what is shown, and to whom. Authorize is required.
type Options struct {
	// Rules returns the rules that are in force, whose modes can be switched and whose
	// keys can be looked at. It is called for each request. nil means none.
	Rules func() []*bucket.Rule
	// Authorize reports whether a request comes from an operator. Others get 403. A
	// program that wraps the handler in a check of its own may return true.
	Authorize func(*http.Request) bool
}

// maxForm bounds what is read of a request, in bytes.
const maxForm = 64 << 10

type admin struct {
	node    *cluster.Node
	options Options
}

// New returns the handler, to be mounted below a path that ends in a slash, with
// http.StripPrefix. The error says what is missing.
func New(node *cluster.Node, o Options) (http.Handler, error) {
	var errs []error
	if node == nil {
		errs = append(errs, errors.New("admin: no node"))
	}
	if o.Authorize == nil {
		errs = append(errs, errors.New("admin: Options.Authorize is nil; say who is an operator, as whoever gets in may switch limits off"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.Rules == nil {
		o.Rules = func() []*bucket.Rule { return nil }
	}
	a := &admin{node, o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.page(w, nil) })
	mux.HandleFunc("GET /status", a.show(func() any { return status{a.node.Members(), a.node.Metrics()} }))
	mux.HandleFunc("GET /table", a.show(func() any { return a.node.Table() }))
	mux.HandleFunc("GET /rules", a.show(func() any { return a.rules() }))
	mux.HandleFunc("GET /denied", a.show(func() any { return a.denied() }))
	mux.HandleFunc("POST /mode", a.do(a.mode))
	mux.HandleFunc("POST /peek", a.do(a.peek))
	mux.HandleFunc("POST /reset", a.do(a.reset))
	return a.guard(http.NewCrossOriginProtection().Handler(mux)), nil
}

// guard lets only operators in, and keeps what they see to them.
func (a *admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		if !a.options.Authorize(r) {
			http.Error(w, "for operators only", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// status is what GET /status answers.
type status struct {
	Members []cluster.Member
	Metrics cluster.Metrics
}

// rule is a rule as it is shown.
type rule struct {
	Name   string
	Limits []string
	Mode   bucket.Mode
	Policy bucket.FailurePolicy
}

func (a *admin) rules() []rule {
	all := []rule{}
	for _, r := range a.options.Rules() {
		shown := rule{Name: r.Name(), Mode: r.Mode(), Policy: r.FailurePolicy()}
		for _, l := range r.Limits() {
			shown.Limits = append(shown.Limits, l.String())
		}
		all = append(all, shown)
	}
	return all
}

func (a *admin) denied() []cluster.DeniedKey {
	return append([]cluster.DeniedKey{}, a.node.Denied()...)
}

// find returns the rule of that name.
func (a *admin) find(name string) *bucket.Rule {
	rules := a.options.Rules()
	if i := slices.IndexFunc(rules, func(r *bucket.Rule) bool { return r.Name() == name }); i >= 0 {
		return rules[i]
	}
	return nil
}

// show answers with what f returns.
func (a *admin) show(f func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, f()) }
}

// do answers with the result of an action: on the page for a browser.
func (a *admin) do(action func(*http.Request) result) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done := action(r)
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			a.page(w, &done)
			return
		}
		writeJSON(w, done.status(), done)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
