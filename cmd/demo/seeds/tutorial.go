package seeds

import (
	"net/http"
	"strings"

	"github.com/shoal-dev/shoal/httpmw"
)

// Tutorial is the application of the tutorial on Flask-Limiter with memcached: a
// group of routes, the default of which one of them replaces, and a route without a
// limit. Its three workers share a memcached; these replicas need nothing.
//
//	GET        /test            no limit
//	GET, POST  /resource/test   1 per 10 second and client, both methods together
//	GET        /resource/other  1 per second and client, the default of /resource
//	GET        /resource/third  the same, counted by itself
//
// A refusal is Flask's page to the letter. Not so in the seed: a client that asks
// for something else than HTML in its Accept gets text, or a problem document (RFC
// 9457), which a program can read; and the headers of the draft are sent.
func Tutorial(l httpmw.Limiter, client httpmw.KeyFunc) (http.Handler, error) {
	s := limits{limiter: l, system: "tutorial"}
	pages := httpmw.Answer(httpmw.Answers{ByAccept: true, Message: flaskText})
	group := s.limit("group", "1/second fixed", httpmw.All(httpmw.Route(), client), pages)
	own := s.limit("resource", "1 per 10 second fixed", client, pages)
	mux := http.NewServeMux()
	mux.Handle("GET /test", text("Hello, World!"))
	mux.Handle("POST /resource/test", own(message("This was a POST")))
	mux.Handle("GET /resource/test", own(message("This was a GET")))
	mux.Handle("GET /resource/other", group(message("This is another")))
	mux.Handle("GET /resource/third", group(message("This is a third")))
	return s.serve(preferHTML(mux))
}

func message(s string) http.Handler {
	return typed("application/json", `{"message":"`+s+`"}`+"\n")
}

// flaskText names a limit as Flask-Limiter does. Without it the text is the limit's own,
// which says how it counts as well: "1 per 10 second fixed".
func flaskText(_ *http.Request, why httpmw.Refusal) string {
	if len(why.By) == 0 {
		return http.StatusText(why.Status)
	}
	return strings.TrimSuffix(why.By[0].Decision.Limit.String(), " fixed")
}

// preferHTML has clients that take anything, as curl does, get what Flask sends.
func preferHTML(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); accept == "" || accept == "*/*" {
			r = r.Clone(r.Context())
			r.Header.Set("Accept", "text/html")
		}
		next.ServeHTTP(w, r)
	})
}
