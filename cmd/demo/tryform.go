package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	defaultKey = "demo"
	maxForm    = 64 << 10
	maxTexts   = 200 // of the rule's text in its name
)

// trial is what /try is asked to decide.
type trial struct {
	rule *bucket.Rule
	key  string
	cost int64
	hold time.Duration // under a concurrency limit
}

// parseTry reads the parameters; an error names the one that is wrong.
func parseTry(w http.ResponseWriter, r *http.Request) (t trial, err error) {
	// Limits are separated by semicolons, which package url takes for a fault.
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, ";", "%3B")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return trial{}, fmt.Errorf("the query or the form can't be read: %w", err)
	}
	if t.rule, err = tryRule(r.Form.Get("limit")); err != nil {
		return trial{}, fmt.Errorf("limit: %s", oneLine(err))
	}
	if t.key = r.Form.Get("key"); t.key == "" {
		t.key = defaultKey
	}
	if t.cost, err = tryCost(r.Form); err != nil {
		return trial{}, err
	}
	if _, concurrent := t.rule.Concurrent(); concurrent {
		if t.cost != 1 {
			return trial{}, errors.New("cost: under a concurrent limit a request takes one slot; leave it out")
		}
		t.hold, err = parseHold(r.Form)
	} else if r.Form.Has("ms") {
		err = errors.New("ms: how long a request takes matters to a concurrent limit only; leave it out")
	}
	return t, err
}

// tryRule makes a rule whose name is the canonical text of all that it says, so
// that different limits of one key know nothing of each other.
func tryRule(text string) (*bucket.Rule, error) {
	const prefix = "/try"
	r, err := bucket.ParseRule(prefix, text)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), `bucket: rule "`+prefix+`": `, ""))
	}
	name := strings.TrimPrefix(r.String(), prefix+": ")
	if len(name) > maxTexts {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:])
	}
	return bucket.ParseRule(prefix+" "+name, text)
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
