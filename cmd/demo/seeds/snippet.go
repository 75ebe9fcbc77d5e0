package seeds

import (
	"fmt"
	"io"
	"net/http"

	"github.com/shoal-dev/shoal/httpmw"
)

// Snippet is what Ronacher's snippet for Flask and Redis decorates: views that have a
// limit in windows of the epoch, here 4 a minute, and tell of it in X-RateLimit-*.
//
//	GET  /rate-limited  by view and address, with the headers
//	GET  /silent        the same without them
//	GET  /shadow        counted and told, never refused
//	GET  /user          by address and the user in X-User
//
// Not so in the seed: it answers 400, and of a limit of 4 it serves 3. RFC 6585 has
// a status for it, and a limit is what may pass. That of the refusal here is 429,
// since Refused says none. Retry-After comes with every refusal, and send_x_headers
// is two fields here.
func Snippet(l httpmw.Limiter, client httpmw.KeyFunc) (http.Handler, error) {
	const words = "4/minute fixed aligned"
	s := limits{limiter: l, system: "snippet"}
	key := httpmw.All(httpmw.Route(), client)
	x := httpmw.Answer(httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit(), Refused: over})
	silent := httpmw.Answer(httpmw.Answers{Draft: httpmw.NoDraft, Refused: over})

	mux := http.NewServeMux()
	mux.Handle("GET /rate-limited", s.limit("view", words, key, x)(http.HandlerFunc(viewLimit)))
	mux.Handle("GET /silent", s.limit("silent", words, key, silent)(text("fine")))
	mux.Handle("GET /shadow", s.limit("shadow", words+"; mode shadow", key, x)(text("fine")))
	mux.Handle("GET /user", s.limit("user", words, httpmw.All(client, httpmw.Header("X-User")), x)(text("fine")))
	return s.serve(httpmw.Record(mux))
}

func over(w http.ResponseWriter, _ *http.Request, _ httpmw.Refusal) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "You hit the rate limit")
}

// viewLimit shows what the view knows of its limit, as get_view_rate_limit does.
func viewLimit(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, d := range httpmw.FromContext(r.Context()) {
		fmt.Fprintf(w, "%d of %d left", d.Decision.Remaining, d.Decision.Limit.Count)
	}
}
