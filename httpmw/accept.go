package httpmw

import (
	"net/http"
	"strconv"
	"strings"
)

// form is what the body of a refusal is written in.
type form int

// The forms, the preferred first.
const (
	formProblem form = iota
	formHTML
	formText
)

var contentTypes = [...]string{
	formProblem: "application/problem+json",
	formHTML:    "text/html; charset=utf-8",
	formText:    "text/plain; charset=utf-8",
}

// offers are the media ranges that mean a form, the most specific first
// (RFC 9110, 12.5.1).
var offers = [...][4]string{
	formProblem: {"application/problem+json", "application/json", "application/*", "*/*"},
	formHTML:    {"text/html", "application/xhtml+xml", "text/*", "*/*"},
	formText:    {"text/plain", "text/plain", "text/*", "*/*"},
}

// form chooses how to answer a request: in the form that its Accept likes best,
// and the first of those that it likes equally, or if it likes none.
func (a *Answers) form(r *http.Request) form {
	best, most := formProblem, 0
	if !a.ByAccept {
		return best
	}
	accepted := accepts(r.Header["Accept"])
	for f := range offers {
		if q := liking(accepted, form(f)); q > most {
			best, most = form(f), q
		}
	}
	return best
}

// accepts reads the media ranges of Accept with their weights, in thousandths.
// Other parameters don't count, and neither does what can't be read.
func accepts(lines []string) map[string]int {
	accepted := map[string]int{}
	for element := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		media, params, _ := strings.Cut(element, ";")
		weight := 1000
		for param := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if strings.EqualFold(name, "q") {
				weight = thousandths(value)
			}
		}
		media = strings.ToLower(strings.TrimSpace(media))
		accepted[media] = max(accepted[media], weight)
	}
	return accepted
}

func liking(accepted map[string]int, f form) int {
	for _, media := range offers[f] {
		if q, ok := accepted[media]; ok {
			return q
		}
	}
	return 0
}

// thousandths reads a weight (RFC 9110, 12.4.2), "0.5" as 500, and what is none as 0.
func thousandths(s string) int {
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole+(part + "000")[:3], 10, 16)
	if err != nil || len(part) > 3 || n > 1000 {
		return 0
	}
	return int(n)
}
