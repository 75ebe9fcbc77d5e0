package httpmw

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// problem is a problem document (RFC 9457), with the types and the extension
// that draft-ietf-httpapi-ratelimit-headers defines.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail,omitempty"`
	Instance string   `json:"instance,omitempty"`
	Violated []string `json:"violated-policies,omitempty"`
}

// Types of problems that draft-ietf-httpapi-ratelimit-headers defines.
const (
	problemTypes    = "https://iana.org/assignments/http-problem-types#"
	typeExceeded    = problemTypes + "quota-exceeded"
	typeAbnormal    = problemTypes + "abnormal-usage-detected"
	typeUnavailable = problemTypes + "temporary-reduced-capacity"
)

// problemOf says why a request was refused.
func problemOf(why Refusal) problem {
	p := problem{Status: why.Status}
	switch {
	case why.Status == http.StatusBadRequest:
		p.Type = "about:blank"
		p.Title = http.StatusText(why.Status)
		p.Detail = "the request does not say on whose behalf it is made"
		if _, ok := why.Err.(costError); ok {
			p.Detail = "the request does not say how much it asks for"
		}
		return p
	case why.Status == http.StatusServiceUnavailable:
		p.Type = typeUnavailable
		p.Title = "Request cannot be satisfied due to temporary server capacity constraints"
		return p
	case why.Penalized():
		p.Type = typeAbnormal
		p.Title = "Request not satisfied due to detection of abnormal request pattern"
	default:
		p.Type = typeExceeded
		p.Title = "Request cannot be satisfied as assigned quota has been exceeded"
	}
	p.Detail = why.By[0].Decision.Limit.String()
	for _, d := range why.By {
		p.Violated = append(p.Violated, d.Decision.Limit.String())
	}
	return p
}

// write answers the request with the problem, which no cache may keep.
func (p problem) write(w http.ResponseWriter, r *http.Request, f form) {
	body := p.body(r, f)
	h := w.Header()
	values := []string{contentTypes[f], "no-store", strconv.Itoa(len(body)), "nosniff"}
	h["Content-Type"], h["Cache-Control"] = values[:1:1], values[1:2:2]
	h["Content-Length"], h["X-Content-Type-Options"] = values[2:3:3], values[3:]
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may have gone
}

func (p problem) body(r *http.Request, f form) []byte {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	switch f {
	case formHTML:
		status := http.StatusText(p.Status)
		return fmt.Appendf(nil, "<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n", p.Status, status, status, html.EscapeString(text))
	case formText:
		return []byte(text + "\n")
	}
	p.Instance = r.URL.EscapedPath()
	if strings.HasPrefix(p.Instance, "//") {
		p.Instance = "/." + p.Instance // else a reference to another host (RFC 3986, 4.2)
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		body = []byte("{}")
	}
	return append(body, '\n')
}
