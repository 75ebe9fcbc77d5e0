package httpmw

import (
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Names of header fields, in the form in which http.Header has them.
const (
	fieldPolicy     = "Ratelimit-Policy"
	fieldLimit      = "Ratelimit"
	fieldRetryAfter = "Retry-After"
)

// maxInteger is the largest that a structured field can hold (RFC 9651, 3.3.1).
const maxInteger = 999_999_999_999_999

// SetHeaders sets RateLimit and RateLimit-Policy, and Retry-After where d was
// refused and it is known when it can pass, as the middleware does. It is for
// handlers that decide by themselves. Of a rule that is bucket.Off it sets none.
func SetHeaders(h http.Header, rule *bucket.Rule, d bucket.Decision) {
	f := newFields(rule)
	f.set(h, d)
}

// fields are what a rule's headers have in common over all responses.
type fields struct {
	rule   *bucket.Rule
	policy string         // value of RateLimit-Policy
	limits []bucket.Limit // the penalties last, and, for each of them,
	names  []string       // its name as a structured-field string
	plain  int            // that many are limits
}

func newFields(rule *bucket.Rule) fields {
	f := fields{rule: rule, limits: rule.Limits()}
	f.plain = len(f.limits)
	f.limits = append(f.limits, rule.Penalties()...)
	for _, l := range f.limits {
		f.names = append(f.names, quote(l.String()))
	}
	var policies []string
	for i, l := range f.limits[:f.plain] {
		policies = append(policies, f.names[i]+
			";q="+strconv.FormatInt(min(l.Count, maxInteger), 10)+unit(l))
	}
	f.policy = strings.Join(policies, ", ")
	return f
}

// unit is what a limit counts in, as parameters of its policy.
func unit(l bucket.Limit) string {
	switch {
	case l.Algorithm == bucket.Concurrent:
		return `;qu="concurrent-requests"`
	case l.Per > 0:
		return ";w=" + strconv.FormatInt(seconds(l.Per), 10)
	}
	return ""
}

func (f *fields) set(h http.Header, d bucket.Decision) {
	if f.rule.Mode() == bucket.Off {
		return
	}
	h.Set(fieldPolicy, f.policy)
	b := append(make([]byte, 0, 96), f.name(d.Limit)...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, min(d.Remaining, maxInteger), 10)
	more, known := untilMore(d)
	if known {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(more), 10)
	}
	h.Set(fieldLimit, string(b))
	if known && !d.Allowed {
		h.Set(fieldRetryAfter, strconv.FormatInt(seconds(more), 10))
	}
}

// untilMore is when the client can have more than it has now: the request that
// was refused, or one token. It isn't known when what runs will end.
func untilMore(d bucket.Decision) (more time.Duration, known bool) {
	switch {
	case d.Limit.Algorithm == bucket.Concurrent:
		return 0, false
	case !d.Allowed || d.WouldRefuse:
		return d.RetryAfter, d.RetryAfter != 0 && d.RetryAfter != bucket.Never
	default:
		more = nextToken(d)
		return more, more != bucket.Never
	}
}

// nextToken is when one more token than now will be there, or a bit later.
func nextToken(d bucket.Decision) time.Duration {
	taken := d.Limit.Capacity() - d.Remaining
	if d.Degraded || taken <= 1 || d.Limit.Algorithm != bucket.TokenBucket {
		return d.ResetAfter
	}
	// All tokens but the next come back in the time of taken-1.
	hi, lo := bits.Mul64(uint64(taken-1), uint64(d.Limit.Per))
	if hi >= uint64(d.Limit.Count) {
		return d.ResetAfter
	}
	others, _ := bits.Div64(hi, lo, uint64(d.Limit.Count))
	if others >= uint64(d.ResetAfter) { // no state of this limit
		return d.ResetAfter
	}
	return d.ResetAfter - time.Duration(others)
}

func (f *fields) name(l bucket.Limit) string {
	if i := slices.Index(f.limits, l); i >= 0 {
		return f.names[i]
	}
	return quote(l.String())
}

// penalizes reports whether a limit is one of the penalties only.
func (f *fields) penalizes(l bucket.Limit) bool {
	return slices.Index(f.limits, l) >= f.plain
}

// seconds rounds up: a client that waits that long has waited long enough.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// quote makes a structured-field string of printable ASCII (RFC 9651, 3.3.3).
func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}
