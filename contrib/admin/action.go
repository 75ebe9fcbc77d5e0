package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cluster"
)

// result is what an action has led to.
type result struct {
	Done     string    `json:",omitempty"` // in words
	Error    string    `json:",omitempty"`
	Decision *decision `json:",omitempty"`
	code     int
}

func (r *result) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

// decision is a bucket.Decision for readers.
type decision struct {
	Allowed, Degraded, WouldRefuse bool
	Limit                          string
	Remaining                      int64
	RetryAfter, ResetAfter         string
}

func failed(code int, format string, args ...any) result {
	return result{Error: fmt.Sprintf(format, args...), code: code}
}

// named returns the rule that the form names.
func (a *admin) named(r *http.Request) (*bucket.Rule, *result) {
	if err := r.ParseForm(); err != nil {
		bad := failed(http.StatusBadRequest, "the form can't be read: %v", err)
		return nil, &bad
	}
	rule := a.find(r.PostForm.Get("rule"))
	if rule == nil {
		bad := failed(http.StatusNotFound, "there is no rule %q", r.PostForm.Get("rule"))
		return nil, &bad
	}
	return rule, nil
}

func (a *admin) mode(r *http.Request) result {
	rule, bad := a.named(r)
	if bad != nil {
		return *bad
	}
	var mode bucket.Mode
	if err := mode.UnmarshalText([]byte(r.PostForm.Get("mode"))); err != nil {
		return failed(http.StatusBadRequest, "%v", err)
	}
	if err := a.node.SetMode(rule, mode); err != nil {
		return failed(http.StatusInternalServerError, "%v", err)
	}
	return result{Done: fmt.Sprintf("%s: %v, on this replica", rule.Name(), mode)}
}

func (a *admin) peek(r *http.Request) result {
	rule, bad := a.named(r)
	if bad != nil {
		return *bad
	}
	tokens := int64(1)
	if text := r.PostForm.Get("tokens"); text != "" {
		var err error
		if tokens, err = strconv.ParseInt(text, 10, 64); err != nil {
			return failed(http.StatusBadRequest, "tokens: %q is no whole number", text)
		}
	}
	d, err := a.node.Peek(r.Context(), rule, r.PostForm.Get("key"), tokens)
	if err != nil {
		return refused(err)
	}
	return result{Done: "peeked", Decision: &decision{
		Allowed: d.Allowed, Degraded: d.Degraded, WouldRefuse: d.WouldRefuse,
		Limit: d.Limit.String(), Remaining: d.Remaining,
		RetryAfter: words(d.RetryAfter), ResetAfter: words(d.ResetAfter),
	}}
}

func words(d time.Duration) string {
	if d == bucket.Never {
		return "never"
	}
	return d.String()
}

func (a *admin) reset(r *http.Request) result {
	rule, bad := a.named(r)
	if bad != nil {
		return *bad
	}
	if err := a.node.Reset(r.Context(), rule, r.PostForm.Get("key")); err != nil {
		return refused(err)
	}
	return result{Done: rule.Name() + ": one key reset, at all replicas"}
}

// refused is an error of the node: the caller's, or of a cluster that isn't whole.
func refused(err error) result {
	if errors.Is(err, cluster.ErrBadCost) || errors.Is(err, cluster.ErrConcurrent) {
		return failed(http.StatusBadRequest, "%v", err)
	}
	return failed(http.StatusBadGateway, "%v", err)
}
