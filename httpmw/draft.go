package httpmw

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Draft is an edition of draft-ietf-httpapi-ratelimit-headers. What one edition
// calls RateLimit and RateLimit-Policy is in another form in the next, so
// responses have the fields of one.
type Draft uint8

const (
	// Draft11 sends lists of structured fields, as all editions from -08 on:
	//
	//	RateLimit-Policy: "10 per 1 minute";q=10;w=60
	//	RateLimit: "10 per 1 minute";r=9;t=6
	Draft11 Draft = iota
	// Draft7 sends one limit, the nearest to refusing, and when it is whole again:
	//
	//	RateLimit-Policy: 10;w=60
	//	RateLimit: limit=10, remaining=9, reset=6
	Draft7
	// Draft6 sends the same in fields of their own, as the editions up to -06 do:
	//
	//	RateLimit-Policy: 10;w=60
	//	RateLimit-Limit: 10
	//	RateLimit-Remaining: 9
	//	RateLimit-Reset: 6
	Draft6
	// NoDraft sends none of them.
	NoDraft
)

// draft6Fields are the fields of the editions up to -06.
func draft6Fields() XFields {
	return XFields{Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: "RateLimit-Reset", Delta: true}
}

func (f *fields) draft6(v *values, text []byte, h http.Header, d *bucket.Decision, later time.Duration) []byte {
	v.set(fieldPolicy, withQuotas(h[fieldPolicy], f.policy))
	return f.own.set(v, text, h, d, later)
}

func (f *fields) draft7(v *values, text []byte, h http.Header, d *bucket.Decision, later time.Duration) []byte {
	v.set(fieldPolicy, withQuotas(h[fieldPolicy], f.policy))
	if _, rest, ok := strings.Cut(h.Get(fieldLimit), "remaining="); ok {
		remaining, _, _ := strings.Cut(rest, ",")
		if nearer(remaining, d) {
			return text
		}
	}
	text = appendCount(append(text, "limit="...), d.Limit.Capacity())
	text = appendCount(append(text, ", remaining="...), d.Remaining)
	if whole, known := untilWhole(d); known {
		text = appendCount(append(text, ", reset="...), seconds(satAdd(whole, later)))
	}
	return v.end(fieldLimit, text)
}

// withQuotas is the list of others with those of one more rule that aren't in it.
func withQuotas(others []string, policy string) string {
	list := others
	for quota := range strings.SplitSeq(policy, ", ") {
		if all := ", " + strings.Join(list, ", ") + ", "; !strings.Contains(all, ", "+quota+", ") {
			list = append(list[:len(list):len(list)], quota)
		}
	}
	return strings.Join(list, ", ")
}

// XFields are the names of the fields that were custom before there was a draft. An
// empty name leaves the field out. They tell of one limit, the one that refused or
// is the nearest to it.
type XFields struct {
	Limit     string // the most that there can be: the limit's burst, or else its count
	Remaining string // what is left of it
	Reset     string // when it is whole again, in Unix seconds, rounded up; not for what runs at a time
	Delta     bool   // Reset is in seconds from now
}

// XRateLimit returns the names that most services use: X-RateLimit-Limit,
// X-RateLimit-Remaining and X-RateLimit-Reset, which is in Unix seconds.
func XRateLimit() XFields {
	return XFields{Limit: "X-RateLimit-Limit", Remaining: "X-RateLimit-Remaining", Reset: "X-RateLimit-Reset"}
}

// canonical are the same names as http.Header has them.
func (x XFields) canonical() XFields {
	for _, name := range []*string{&x.Limit, &x.Remaining, &x.Reset} {
		*name = http.CanonicalHeaderKey(*name)
	}
	return x
}

// set sets the fields, whose names are canonical, unless they tell of a limit that is
// nearer to refusing.
func (x *XFields) set(v *values, text []byte, h http.Header, d *bucket.Decision, later time.Duration) []byte {
	if had := h[x.Remaining]; len(had) > 0 && nearer(had[0], d) {
		return text
	}
	text = v.count(x.Limit, text, d.Limit.Capacity())
	text = v.count(x.Remaining, text, d.Remaining)
	whole, known := untilWhole(d)
	if !known {
		delete(h, x.Reset)
		return text
	}
	whole = satAdd(whole, later)
	if x.Delta {
		return v.count(x.Reset, text, seconds(whole))
	}
	return v.count(x.Reset, text, unixSeconds(whole))
}

// nearer says whether what is left of another limit, as a header says, is less than
// what d has left. A refusal is the nearest.
func nearer(remaining string, d *bucket.Decision) bool {
	left, err := strconv.ParseInt(remaining, 10, 64)
	return err == nil && d.Allowed && left < d.Remaining
}

// untilWhole is when the limit is whole again, and no earlier than when a refused
// request can pass.
func untilWhole(d *bucket.Decision) (whole time.Duration, known bool) {
	if d.Limit.Algorithm == bucket.Concurrent || d.ResetAfter == bucket.Never {
		return 0, false
	}
	if d.RetryAfter == bucket.Never {
		return d.ResetAfter, d.ResetAfter > 0
	}
	return max(d.ResetAfter, d.RetryAfter), true
}

// unixSeconds is the second, rounded up, that a clock on the wall shows after d.
func unixSeconds(d time.Duration) int64 {
	now := time.Now()
	s := now.Unix() + int64(d/time.Second)
	if rest := time.Duration(now.Nanosecond()) + d%time.Second; rest > 0 {
		s += seconds(rest)
	}
	return s
}
