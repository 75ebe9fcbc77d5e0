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

// retryAfter sets Retry-After (RFC 9110, 10.2.3) to so long from now, rounded up,
// in seconds or as a date. A later time that is there already stays.
func retryAfter(v *values, text []byte, h http.Header, more time.Duration, date bool) []byte {
	if had := h[fieldRetryAfter]; len(had) > 0 && later(had[0], more) {
		return text
	}
	if date {
		return v.end(fieldRetryAfter, time.Unix(unixSeconds(more), 0).UTC().AppendFormat(text, http.TimeFormat))
	}
	return v.end(fieldRetryAfter, strconv.AppendInt(text, seconds(more), 10))
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

// expose adds the names of a list to those that a script from another origin may read.
func expose(v *values, h http.Header, names string) {
	others := h[fieldExpose]
	switch {
	case names == "" || len(others) == 1 && others[0] == names:
		return
	case len(others) == 0:
		v.set(fieldExpose, names)
		return
	}
	listed := strings.Join(others, ", ")
	for name := range strings.SplitSeq(names, ", ") {
		if !lists(listed, name) {
			listed += ", " + name
		}
	}
	v.set(fieldExpose, listed)
}

// lists says whether a list has a name in it, or all names.
func lists(list, name string) bool {
	for n := range strings.SplitSeq(list, ",") {
		if n = strings.TrimSpace(n); n == "*" || strings.EqualFold(n, name) {
			return true
		}
	}
	return false
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
