package httpmw

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/shoal-dev/shoal/bucket"
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

const problemTypes = "https://iana.org/assignments/http-problem-types#"

func noKey() problem {
	return problem{
		Type:   "about:blank",
		Title:  http.StatusText(http.StatusBadRequest),
		Status: http.StatusBadRequest,
		Detail: "the request does not say on whose behalf it is made",
	}
}

func unavailable() problem {
	return problem{
		Type:   problemTypes + "temporary-reduced-capacity",
		Title:  "Request cannot be satisfied due to temporary server capacity constraints",
		Status: http.StatusServiceUnavailable,
	}
}

// exceeded names the limit or penalty that refused.
func exceeded(l bucket.Limit, penalty bool) problem {
	p := problem{
		Type:     problemTypes + "quota-exceeded",
		Title:    "Request cannot be satisfied as assigned quota has been exceeded",
		Status:   http.StatusTooManyRequests,
		Detail:   l.String(),
		Violated: []string{l.String()},
	}
	if penalty {
		p.Type = problemTypes + "abnormal-usage-detected"
		p.Title = "Request not satisfied due to detection of abnormal request pattern"
	}
	return p
}

// write answers the request with the problem, which no cache may keep.
func (p problem) write(w http.ResponseWriter, r *http.Request) {
	p.Instance = r.URL.EscapedPath()
	if strings.HasPrefix(p.Instance, "//") {
		p.Instance = "/." + p.Instance // else a reference to another host (RFC 3986, 4.2)
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always marshal
		body = []byte("{}")
	}
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may have gone
}
