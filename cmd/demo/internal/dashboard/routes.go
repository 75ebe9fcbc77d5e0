package dashboard

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page
var page embed.FS

// policy lets the page load nothing that isn't its own.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// routes are the page, its stream and its commands.
func (d *Dashboard) routes() http.Handler {
	files, err := fs.Sub(page, "page")
	if err != nil { // it is embedded
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", static(http.FileServerFS(files)))
	mux.HandleFunc("GET /api/stream", d.stream)
	mux.Handle("POST /api/add", command(d.add))
	mux.Handle("POST /api/stop", command(d.stop))
	mux.Handle("POST /api/kill", command(d.kill))
	mux.Handle("POST /api/split", command(d.split))
	mux.Handle("POST /api/heal", command(d.heal))
	mux.Handle("POST /api/load", command(d.load))
	mux.Handle("POST /api/end", command(d.end))
	return ours(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		if r.URL.Path == "" { // of the page, without its slash
			http.Redirect(w, r, "_shoal/", http.StatusMovedPermanently)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// static has browsers ask again, as another build has another page.
func static(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
