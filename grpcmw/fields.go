package grpcmw

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/shoal-dev/shoal/bucket"
)

// Names in metadata, where they are in lower case.
const (
	fieldPolicy     = "ratelimit-policy"
	fieldLimit      = "ratelimit"
	fieldRetryAfter = "retry-after"
	fieldPushback   = "grpc-retry-pushback-ms" // gRFC A6
)

// maxInteger is the largest that a structured field can hold (RFC 9651, 3.3.1).
const maxInteger = 999_999_999_999_999

// Fields returns what the interceptors put in the metadata of a call that was decided
// so: ratelimit and ratelimit-policy, and of a refused one, if it is known when it can
// pass, retry-after in seconds, rounded up. grpc-retry-pushback-ms is that in
// milliseconds, or -1 if it never can, not in 24 days or not before the deadline of
// ctx: then the client should hear of it at once. It is for handlers that decide by
// themselves. Of a rule that is bucket.Off there are none.
func Fields(ctx context.Context, rule *bucket.Rule, d bucket.Decision) metadata.MD {
	f := newFields(rule)
	return f.metadata(ctx, d)
}

// fields are what a rule's metadata has in common over all calls. The values are
// those of httpmw's headers, which a test compares: neither may import the other.
type fields struct {
	rule   *bucket.Rule
	policy string         // value of ratelimit-policy
	limits []bucket.Limit // the penalties last, and, for each of them,
	names  []string       // its name as a structured-field string
	plain  int            // that many are limits
}

func newFields(rule *bucket.Rule) fields {
	f := fields{rule: rule, limits: rule.Limits()}
	f.plain = len(f.limits)
	f.limits = append(f.limits, rule.Penalties()...)
	var policies []string
	for i, l := range f.limits {
		f.names = append(f.names, quote(l.String()))
		if i < f.plain {
			policies = append(policies, f.names[i]+";q="+strconv.FormatInt(min(l.Count, maxInteger), 10)+unit(l))
		}
	}
	f.policy = strings.Join(policies, ", ")
	return f
}

// unit is what a limit counts in, as parameters of its policy.
func unit(l bucket.Limit) string {
	if l.Algorithm == bucket.Concurrent {
		return `;qu="concurrent-requests"`
	}
	return ";w=" + strconv.FormatInt(roundUp(l.Per, time.Second), 10)
}

func (f *fields) metadata(ctx context.Context, d bucket.Decision) metadata.MD {
	if f.rule.Mode() == bucket.Off {
		return nil
	}
	b := append(make([]byte, 0, 96), f.name(d.Limit)...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, min(d.Remaining, maxInteger), 10)
	more, known := untilMore(d)
	if known {
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, roundUp(more, time.Second), 10)
	}
	md := metadata.MD{fieldPolicy: {f.policy}, fieldLimit: {string(b)}}
	if d.Allowed {
		return md
	}
	if known {
		md[fieldRetryAfter] = []string{strconv.FormatInt(roundUp(more, time.Second), 10)}
	}
	if known || d.RetryAfter == bucket.Never {
		md[fieldPushback] = []string{pushback(ctx, d.RetryAfter)}
	}
	return md
}

// pushback is a wait in milliseconds, or -1 for no retry where it doesn't fit in 32
// bits or before the deadline.
func pushback(ctx context.Context, d time.Duration) string {
	ms := roundUp(d, time.Millisecond)
	if deadline, ok := ctx.Deadline(); ms > math.MaxInt32 || ok && time.Until(deadline) < d {
		ms = -1
	}
	return strconv.FormatInt(ms, 10)
}

// untilMore is when the client can have more than it has now: the call that was
// refused, or one token. It isn't known when what runs will end.
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

// roundUp counts in units: a client that waits that long has waited long enough.
func roundUp(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}

// quote makes a structured-field string of printable ASCII (RFC 9651, 3.3.3).
func quote(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}
