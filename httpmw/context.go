package httpmw

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/shoal-dev/shoal/bucket"
)

// Decided is one decision about a request.
type Decided struct {
	Rule     *bucket.Rule
	Key      string // maybe a credential: don't log it
	Decision bucket.Decision
}

// Record is a middleware that keeps what is decided about a request by all that is
// inside of it, however many middlewares there are, for [FromContext]. Put it
// outside of them, and outside of a logger that wants to read it.
func Record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if recorded(r.Context()) == nil {
			r = r.WithContext(context.WithValue(r.Context(), recordKey{}, &record{}))
		}
		next.ServeHTTP(w, r)
	})
}

// FromContext returns what has been decided so far about the request with this
// context, in order, refusals included; nothing outside of [Record]. It may be
// called by many goroutines at once.
func FromContext(ctx context.Context) []Decided {
	rec := recorded(ctx)
	if rec == nil {
		return nil
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.decided)
}

type recordKey struct{}

type record struct {
	mu      sync.Mutex
	decided []Decided
}

func recorded(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// note keeps what was decided, where somebody wants to know.
func note(ctx context.Context, parts []part) {
	rec := recorded(ctx)
	if rec == nil {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for i := range parts {
		if parts[i].asked {
			rec.decided = append(rec.decided, parts[i].Decided)
		}
	}
}
