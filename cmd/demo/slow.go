package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/shoal-dev/shoal/httpmw"
)

const (
	// slowLimit is how many requests to /slow each user may have under way.
	slowLimit = "2 concurrent"
	// usualHold is how long a request takes that doesn't say.
	usualHold = 500 * time.Millisecond
	maxHold   = 10 * time.Second
)

// slow answers after the time that ms in the query says.
func slow(limit func(http.Handler) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("the query can't be read: %v", err))
			return
		}
		d, err := parseHold(query)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hold(r.Context(), d) {
				writeJSON(w, http.StatusOK, struct {
					Message string `json:"message"`
				}{fmt.Sprintf("This took %d ms", d.Milliseconds())})
			}
		})).ServeHTTP(w, r)
	})
}

// user tells users apart by what the query says, as this is a demo, and clients
// where it says nothing.
func user(client httpmw.KeyFunc) httpmw.KeyFunc {
	return func(r *http.Request) (string, error) {
		if name := r.URL.Query().Get("user"); name != "" {
			return "user " + name, nil // no address starts like that
		}
		return client(r)
	}
}

// parseHold reads how long a request is to take.
func parseHold(form url.Values) (time.Duration, error) {
	text := form.Get("ms")
	if text == "" {
		return usualHold, nil
	}
	ms, err := strconv.ParseUint(text, 10, 16)
	if d := time.Duration(ms) * time.Millisecond; err == nil && d <= maxHold {
		return d, nil
	}
	return 0, fmt.Errorf("ms: %q is not a whole number of milliseconds, 0 to %d", text, maxHold.Milliseconds())
}

// hold keeps a request under way; it reports false if the client hangs up before
// its time is over.
func hold(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
