package httpmw

import (
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

// fields are what a rule's headers have in common over all responses.
type fields struct {
	rule    *bucket.Rule
	answers *Answers
	policy  string         // value of RateLimit-Policy
	limits  []bucket.Limit // the penalties last, and, for each of them,
	names   []string       // its name as a structured-field string
	exposed []string       // to scripts of other origins, or none
}

func newFields(rule *bucket.Rule, a *Answers) *fields {
	f := &fields{rule: rule, answers: a, limits: append(rule.Limits(), rule.Penalties()...)}
	for _, l := range f.limits {
		f.names = append(f.names, quote(l.String()))
	}
	var policies []string
	for i, l := range rule.Limits() {
		policies = append(policies, f.policyOf(i, l))
	}
	f.policy = strings.Join(policies, ", ")
	if a.Expose {
		f.exposed = a.names()
	}
	return f
}

// policyOf is what RateLimit-Policy says of the i-th limit.
func (f *fields) policyOf(i int, l bucket.Limit) string {
	quota := strconv.FormatInt(min(l.Count, maxInteger), 10)
	if f.answers.Draft == Draft11 {
		return f.names[i] + ";q=" + quota + unit(l)
	}
	return quota + unit(l)
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

// set tells of a decision, beside what the header tells of others.
func (f *fields) set(h http.Header, d *bucket.Decision) {
	if f.rule.Mode() == bucket.Off {
		return
	}
	later := f.answers.jitter()
	more, known := untilMore(d)
	if known && more > 0 {
		more = satAdd(more, later)
	}
	switch f.answers.Draft {
	case Draft11:
		f.draft11(h, d, more, known)
	case Draft7:
		f.draft7(h, d, later)
	case Draft6:
		f.draft6(h, d, later)
	}
	if f.answers.X != (XFields{}) {
		f.answers.X.set(h, d, later)
	}
	if known && !d.Allowed {
		setRetryAfter(h, more, f.answers.RetryDate)
	}
	expose(h, f.exposed)
}

// draft11 sets the fields of draft-ietf-httpapi-ratelimit-headers-11.
func (f *fields) draft11(h http.Header, d *bucket.Decision, more time.Duration, known bool) {
	name := f.name(d.Limit)
	b := append(make([]byte, 0, 96), name...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, min(d.Remaining, maxInteger), 10)
	if known {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, seconds(more), 10)
	}
	values := []string{f.policy, string(b)}
	if others := h[fieldPolicy]; len(others) > 0 {
		values[0] = withPolicies(others, f.policy)
	}
	if others := h[fieldLimit]; len(others) > 0 {
		values[1] = withLimits(others, member{text: values[1], name: name, left: d.Remaining}, !d.Allowed)
	}
	h[fieldPolicy], h[fieldLimit] = values[:1:1], values[1:]
}

// untilMore is when the client can have more than it has now: the request that
// was refused, or one token. It isn't known when what runs will end.
func untilMore(d *bucket.Decision) (more time.Duration, known bool) {
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
func nextToken(d *bucket.Decision) time.Duration {
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

// seconds rounds up: a client that waits that long has waited long enough.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

func satAdd(d, more time.Duration) time.Duration {
	if d > bucket.Never-more {
		return bucket.Never
	}
	return d + more
}

// quote makes a structured-field string of printable ASCII (RFC 9651, 3.3.3).
func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

// maxKnown is how many rules' fields are kept.
const maxKnown = 256

// cache keeps the fields of rules that come with the requests. When it is full it
// starts anew, so it never holds more than maxKnown rules that are gone.
type cache struct {
	known atomic.Pointer[map[*bucket.Rule]*fields]
}

func (c *cache) of(rule *bucket.Rule, a *Answers) *fields {
	old := c.known.Load()
	next := map[*bucket.Rule]*fields{}
	if old != nil {
		if f := (*old)[rule]; f != nil {
			return f
		}
		if len(*old) < maxKnown {
			next = make(map[*bucket.Rule]*fields, len(*old)+1)
			for r, f := range *old {
				next[r] = f
			}
		}
	}
	f := newFields(rule, a)
	next[rule] = f
	c.known.Store(&next) // who comes second overwrites, and the other is made again
	return f
}
