package httpmw

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setRetryAfter sets Retry-After (RFC 9110, 10.2.3) to so long from now, rounded up,
// in seconds or as a date. A later time that is there already stays.
func setRetryAfter(h http.Header, more time.Duration, date bool) {
	if had := h[fieldRetryAfter]; len(had) > 0 && later(had[0], more) {
		return
	}
	value := strconv.FormatInt(seconds(more), 10)
	if date {
		value = time.Unix(unixSeconds(more), 0).UTC().Format(http.TimeFormat)
	}
	h[fieldRetryAfter] = []string{value}
}

// later says whether a Retry-After is later than after d. What can't be read isn't.
func later(value string, d time.Duration) bool {
	if s, err := strconv.ParseUint(value, 10, 63); err == nil {
		return int64(s) > seconds(d)
	}
	at, err := http.ParseTime(value)
	return err == nil && at.Unix() > unixSeconds(d)
}

const fieldExpose = "Access-Control-Expose-Headers"

// expose adds names to those that a script from another origin may read.
func expose(h http.Header, names []string) {
	if len(names) == 0 {
		return
	}
	listed := strings.Join(h[fieldExpose], ", ")
	has := func(name string) bool {
		for n := range strings.SplitSeq(listed, ",") {
			if n = strings.TrimSpace(n); n == "*" || strings.EqualFold(n, name) {
				return true
			}
		}
		return false
	}
	for _, name := range names {
		switch {
		case has(name):
		case listed == "":
			listed = name
		default:
			listed += ", " + name
		}
	}
	h.Set(fieldExpose, listed)
}

// names lists the fields that these answers may have.
func (a *Answers) names() []string {
	names := []string{fieldRetryAfter}
	switch a.Draft {
	case Draft11, Draft7:
		names = append(names, "RateLimit", "RateLimit-Policy")
	case Draft6:
		x := draft6Fields()
		names = append(names, x.Limit, x.Remaining, x.Reset, "RateLimit-Policy")
	}
	names = append(names, a.X.Limit, a.X.Remaining, a.X.Reset)
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

func (x XFields) validate() error {
	var errs []error
	for field, name := range map[string]string{"Limit": x.Limit, "Remaining": x.Remaining, "Reset": x.Reset} {
		if name != "" && !isToken(name) {
			errs = append(errs, fmt.Errorf("httpmw: Answers.X.%s %q can't be a header's name; write one as X-RateLimit-%s", field, name, field))
		}
	}
	if x.Delta && x.Reset == "" {
		errs = append(errs, errors.New("httpmw: Answers.X.Delta is set without Reset, which it is about; name that, as XRateLimit does"))
	}
	return errors.Join(errs...)
}
