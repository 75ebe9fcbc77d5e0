package envoyrls

import (
	"strings"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/shoal-dev/shoal/bucket"
)

// unit is a unit of time of the protocol.
type unit struct {
	name string
	per  time.Duration
	code rls.RateLimitResponse_RateLimit_Unit
}

// units have the lengths that envoyproxy/ratelimit gives them: a month is 30 days,
// and a year 365.
var units = [...]unit{
	{"SECOND", time.Second, rls.RateLimitResponse_RateLimit_SECOND},
	{"MINUTE", time.Minute, rls.RateLimitResponse_RateLimit_MINUTE},
	{"HOUR", time.Hour, rls.RateLimitResponse_RateLimit_HOUR},
	{"DAY", bucket.Day, rls.RateLimitResponse_RateLimit_DAY},
	{"WEEK", bucket.Week, rls.RateLimitResponse_RateLimit_WEEK},
	{"MONTH", bucket.Month, rls.RateLimitResponse_RateLimit_MONTH},
	{"YEAR", 365 * bucket.Day, rls.RateLimitResponse_RateLimit_YEAR},
}

// unitOf finds a unit by its name, in any case.
func unitOf(name string) (unit, bool) {
	for _, u := range units {
		if strings.EqualFold(u.name, name) {
			return u, true
		}
	}
	return unit{}, false
}

// codeOf is the unit that a window is one of, or UNKNOWN, with which Envoy leaves it
// out of its headers.
func codeOf(per time.Duration) rls.RateLimitResponse_RateLimit_Unit {
	for _, u := range units {
		if u.per == per {
			return u.code
		}
	}
	if per == bucket.Year {
		return rls.RateLimitResponse_RateLimit_YEAR
	}
	return rls.RateLimitResponse_RateLimit_UNKNOWN
}

// window counts as envoyproxy/ratelimit does: in windows that begin at multiples of
// their length since the Unix epoch.
func window(count int64, per time.Duration) bucket.Limit {
	return bucket.Limit{Algorithm: bucket.FixedWindow, Aligned: true, Count: count, Per: per}
}
