package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/httpmw"
)

const (
	defaultKey = "demo"
	maxForm    = 64 << 10
	maxTexts   = 200 // of the limits' text in a rule's name
)

// try decides any limit for any key, which the query or a form names: limit is
// required, key is "demo" and cost 1 by default. A cost of 0 looks without
// taking.
type try struct{ node *cluster.Node }

// decision is a bucket.Decision as JSON.
type decision struct {
	Allowed    bool     `json:"allowed"`
	Limit      string   `json:"limit"` // that refused, or is nearest to refusing
	Remaining  int64    `json:"remaining"`
	RetryAfter *float64 `json:"retry_after"` // seconds; null if no wait is long enough
	ResetAfter *float64 `json:"reset_after"` // seconds
	Delay      *float64 `json:"delay"`       // seconds to wait before going on, if allowed
	Degraded   bool     `json:"degraded"`
	Owner      string   `json:"owner"` // the replica that holds the key's state
}

// ServeHTTP implements http.Handler.
func (t try) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule, key, cost, err := parseTry(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	d, err := t.node.Take(r.Context(), rule, key, cost)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	httpmw.SetHeaders(w.Header(), rule, d)
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if !d.Allowed {
		status = http.StatusTooManyRequests
	}
	writeJSON(w, status, decision{
		Allowed:    d.Allowed,
		Limit:      d.Limit.String(),
		Remaining:  d.Remaining,
		RetryAfter: seconds(d.RetryAfter),
		ResetAfter: seconds(d.ResetAfter),
		Delay:      seconds(d.Delay),
		Degraded:   d.Degraded,
		Owner:      t.node.Owner(rule, key),
	})
}

// parseTry reads the parameters; an error names the one that is wrong.
func parseTry(w http.ResponseWriter, r *http.Request) (rule *bucket.Rule, key string, cost int64, err error) {
	// Limits are separated by semicolons, which package url takes for a fault.
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, ";", "%3B")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, "", 0, fmt.Errorf("the query or the form can't be read: %w", err)
	}
	rule, err = tryRule(r.Form.Get("limit"))
	if err != nil {
		return nil, "", 0, fmt.Errorf("limit: %w", err)
	}
	if key = r.Form.Get("key"); key == "" {
		key = defaultKey
	}
	cost, err = tryCost(r.Form)
	return rule, key, cost, err
}

// tryRule makes a rule whose name is the canonical text of its limits, so that
// different limits of one key know nothing of each other.
func tryRule(text string) (*bucket.Rule, error) {
	limits, err := bucket.ParseLimits(text)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, l := range limits {
		texts = append(texts, l.String())
	}
	name := strings.Join(texts, "; ")
	if len(name) > maxTexts {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:])
	}
	return bucket.NewRule("/try "+name, limits)
}

func tryCost(form url.Values) (int64, error) {
	text := form.Get("cost")
	if text == "" {
		return 1, nil
	}
	cost, err := strconv.ParseInt(text, 10, 64)
	if err != nil || cost < 0 {
		return 0, fmt.Errorf("cost: %q is not a whole number of tokens, at least 0", text)
	}
	return cost, nil
}

// seconds rounds up to the millisecond, so that a client that waits that long
// has waited long enough.
func seconds(d time.Duration) *float64 {
	if d == bucket.Never {
		return nil
	}
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	s := float64(ms) / 1000
	return &s
}
