package httpmw

import (
	"math/bits"
	"net/http"
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
// refused but can pass later, as the middleware does. It is for handlers that
// decide by themselves.
func SetHeaders(h http.Header, rule *bucket.Rule, d bucket.Decision) {
	f := newFields(rule)
	f.set(h, d)
}

// fields are what a rule's headers have in common over all responses.
type fields struct {
	policy string         // value of RateLimit-Policy
	limits []bucket.Limit // and, for each of them,
	names  []string       // its name as a structured-field string
}

func newFields(rule *bucket.Rule) fields {
	f := fields{limits: rule.Limits()}
	var policies []string
	for _, l := range f.limits {
		name := quote(l.String())
		f.names = append(f.names, name)
		policies = append(policies, name+
			";q="+strconv.FormatInt(min(l.Count, maxInteger), 10)+
			";w="+strconv.FormatInt(seconds(l.Per), 10))
	}
	f.policy = strings.Join(policies, ", ")
	return f
}

func (f *fields) set(h http.Header, d bucket.Decision) {
	h.Set(fieldPolicy, f.policy)
	b := append(make([]byte, 0, 96), f.name(d.Limit)...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, min(d.Remaining, maxInteger), 10)
	if more := untilMore(d); more != bucket.Never {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(more), 10)
	}
	h.Set(fieldLimit, string(b))
	if !d.Allowed && d.RetryAfter != bucket.Never {
		h.Set(fieldRetryAfter, strconv.FormatInt(seconds(d.RetryAfter), 10))
	}
}

// untilMore is when the client can have more than it has now: the request that
// was refused, or one token.
func untilMore(d bucket.Decision) time.Duration {
	if !d.Allowed {
		return d.RetryAfter
	}
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
	for i := range f.limits {
		if f.limits[i] == l {
			return f.names[i]
		}
	}
	return quote(l.String())
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
