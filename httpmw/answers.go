package httpmw

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Answers say how clients are told about limits. The zero value is what the package
// comment describes; each field changes one thing of that. It may be copied, and
// used by many goroutines at once.
type Answers struct {
	// Draft is the edition of draft-ietf-httpapi-ratelimit-headers whose fields
	// are sent. The zero value is Draft11.
	Draft Draft

	// X names the fields of the old custom, X-RateLimit-* by name as XRateLimit
	// returns them. They are sent beside those of Draft. The zero value sends none.
	X XFields

	// Expose lists the fields in Access-Control-Expose-Headers, so that a
	// script from another origin may read them (CORS). It adds to what is there:
	// a layer that sets this header must be outside of the middleware.
	Expose bool

	// RetryDate sends Retry-After as a date on this replica's clock, rather than
	// in seconds, which no clock can make wrong.
	RetryDate bool

	// Jitter makes all times that are told later by a random time up to this, so
	// that clients that were refused together don't come back together. At
	// least 0, which is none.
	Jitter time.Duration

	// ByAccept answers refused requests in HTML or plain text, where a client's
	// Accept prefers that to application/problem+json.
	ByAccept bool

	// Message is the text of an answer: the detail of a problem document, or
	// what is in the page. nil names the limit that refused.
	Message func(*http.Request, Refusal) string

	// Refused answers refused requests in place of ByAccept and Message, which are
	// to be left out. The headers are set; a handler that calls no WriteHeader
	// answers with the Refusal's Status. nil answers as the other fields say.
	Refused func(http.ResponseWriter, *http.Request, Refusal)
}

// SetHeaders is the function SetHeaders, with these answers.
func (a Answers) SetHeaders(h http.Header, rule *bucket.Rule, d bucket.Decision) {
	newFields(rule, &a).set(h, &d)
}

// Refuse is the function Refuse, with these answers.
func (a Answers) Refuse(w http.ResponseWriter, r *http.Request, rule *bucket.Rule, d bucket.Decision) {
	a.SetHeaders(w.Header(), rule, d)
	a.refuse(w, r, refusalBy([]Decided{{Rule: rule, Decision: d}}))
}

// SetHeaders sets RateLimit and RateLimit-Policy, and Retry-After where d was
// refused and it is known when it can pass, as the middleware does. It is for
// handlers that decide by themselves. What other rules' decisions have set stays in
// the lists. Of a rule that is bucket.Off it sets none.
func SetHeaders(h http.Header, rule *bucket.Rule, d bucket.Decision) {
	Answers{}.SetHeaders(h, rule, d)
}

// Refuse answers a request that d has refused as the middleware does, headers
// included. It is for handlers that decide by themselves.
func Refuse(w http.ResponseWriter, r *http.Request, rule *bucket.Rule, d bucket.Decision) {
	Answers{}.Refuse(w, r, rule, d)
}

func (a *Answers) validate() error {
	var errs []error
	if a.Draft > NoDraft {
		errs = append(errs, fmt.Errorf("httpmw: Answers.Draft is %d; choose Draft11, Draft7, Draft6 or NoDraft", a.Draft))
	}
	if a.Jitter < 0 {
		errs = append(errs, fmt.Errorf("httpmw: Answers.Jitter is %v; it must be at least 0", a.Jitter))
	}
	if a.Refused != nil && (a.Message != nil || a.ByAccept) {
		errs = append(errs, errors.New("httpmw: Answers.Refused, and Message or ByAccept, which it would never use; leave one or the other out"))
	}
	return errors.Join(append(errs, a.X.validate())...)
}

// jitter is how much later the times of one answer are.
func (a *Answers) jitter() time.Duration {
	if a.Jitter <= 0 {
		return 0
	}
	return time.Duration(rand.Uint64N(uint64(a.Jitter) + 1))
}
