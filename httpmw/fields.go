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
	x, own  XFields        // the custom ones and Draft6's, with their names as http.Header has them
	exposed string         // to scripts of other origins, if no other layer exposes any
}

func newFields(rule *bucket.Rule, a *Answers) *fields {
	f := &fields{rule: rule, answers: a, x: a.X.canonical(), own: draft6Fields().canonical(), limits: append(rule.Limits(), rule.Penalties()...)}
	for _, l := range f.limits {
		f.names = append(f.names, quote(l.String()))
	}
	var policies []string
	for i, l := range rule.Limits() {
		policies = append(policies, f.policyOf(i, l))
	}
	f.policy = strings.Join(policies, ", ")
	if a.Expose {
		f.exposed = strings.Join(a.names(), ", ")
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
	var v values
	var space [textSize]byte
	text := space[:0]
	switch f.answers.Draft {
	case Draft11:
		text = f.draft11(&v, text, h, d, more, known)
	case Draft7:
		text = f.draft7(&v, text, h, d, later)
	case Draft6:
		text = f.draft6(&v, text, h, d, later)
	}
	if f.x != (XFields{}) {
		text = f.x.set(&v, text, h, d, later)
	}
	if known && !d.Allowed {
		text = retryAfter(&v, text, h, more, f.answers.RetryDate)
	}
	expose(&v, h, f.exposed)
	v.writeTo(h, text)
}

// textSize is enough for the text of one answer, as a rule.
const textSize = 160

// draft11 sets the fields of draft-ietf-httpapi-ratelimit-headers-11.
func (f *fields) draft11(v *values, text []byte, h http.Header, d *bucket.Decision, more time.Duration, known bool) []byte {
	name := f.name(d.Limit)
	text = append(text, name...)
	text = appendCount(append(text, ";r="...), d.Remaining)
	if known {
		text = strconv.AppendInt(append(text, ";t="...), seconds(more), 10)
	}
	if others := h[fieldLimit]; len(others) > 0 {
		ours := member{text: string(text), name: name, left: d.Remaining}
		text = append(text[:0], withLimits(others, ours, !d.Allowed)...)
	}
	policy := f.policy
	if others := h[fieldPolicy]; len(others) > 0 {
		policy = withPolicies(others, policy)
	}
	v.set(fieldPolicy, policy)
	return v.end(fieldLimit, text)
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
