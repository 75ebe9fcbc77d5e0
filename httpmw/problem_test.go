package httpmw_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// document is a problem document as a client would read it.
type document struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Instance string   `json:"instance"`
	Violated []string `json:"violated-policies"`
}

func readDocument(t tester, w *httptest.ResponseRecorder) document {
	t.Helper()
	var d document
	decoder := json.NewDecoder(w.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("the body: %v", err)
	}
	if decoder.More() {
		t.Fatalf("there is more than one document")
	}
	if d.Status != w.Code {
		t.Fatalf("status %d in the body of a %d", d.Status, w.Code)
	}
	return d
}

func TestProblemOfARefusal(t *testing.T) {
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Name: `the "slow" <one>`, Count: 0, Per: time.Minute}), everybody)(unserved(t))
	w := call(h, "GET", "/resource/t%20st?secret=1")
	body := w.Body.Bytes()

	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{
		"type":              "https://iana.org/assignments/http-problem-types#quota-exceeded",
		"title":             "Request cannot be satisfied as assigned quota has been exceeded",
		"status":            429.0,
		"detail":            `the "slow" <one>`,
		"instance":          "/resource/t%20st",
		"violated-policies": []any{`the "slow" <one>`},
	}; !reflect.DeepEqual(members, want) {
		t.Errorf("got  %v\nwant %v", members, want)
	}
	if bytes.Count(body, []byte("\n")) != 1 || !bytes.HasSuffix(body, []byte("}\n")) {
		t.Errorf("%q is not one line", body)
	}
}

// TestProblemOfSpecialTargets has the requests that name no path or a strange
// one.
func TestProblemOfSpecialTargets(t *testing.T) {
	limit, err := httpmw.New(newLocal(), newRule(t, bucket.Limit{Count: 0, Per: time.Minute}), everybody, httpmw.ChargePreflights())
	if err != nil {
		t.Fatal(err)
	}
	h := limit(unserved(t))
	for _, c := range []struct{ method, target, instance string }{
		{"OPTIONS", "*", "*"},
		{"CONNECT", "db.example:443", ""},
		{"GET", "http://api.example", ""},
		{"GET", "http://api.example/x", "/x"},
		{"GET", "/%ff%00%22%3c", "/%ff%00%22%3c"},
		{"GET", "/a%2fb/../c", "/a%2fb/../c"},
		{"GET", "//evil.example/x", "/.//evil.example/x"}, // else it would be a host's name
		{"GET", "//", "/.//"},
		{"GET", "/a//b", "/a//b"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.URL = target(t, c.method, c.target)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if d := readDocument(t, w); d.Instance != c.instance {
			t.Errorf("%s %s: instance %q, want %q", c.method, c.target, d.Instance, c.instance)
		}
	}
}

// target makes of a request's target what a server of net/http makes of it.
func target(t *testing.T, method, s string) *url.URL {
	t.Helper()
	if method == "CONNECT" {
		return &url.URL{Host: s}
	}
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestProblemSaysWhatTheHeadersSay reads the document of any limit and path.
func TestProblemSaysWhatTheHeadersSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t)
		refused := bucket.Decision{Limit: rapid.SampledFrom(rule.Limits()).Draw(t, "limit"), RetryAfter: drawWait(t, "retry after")}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = "/" + rapid.StringOfN(rapid.RuneFrom([]rune("/a:@%\"\\<é\u2028\x00?#")), 0, 12, -1).Draw(t, "path")
		w := httptest.NewRecorder()
		newLimit(t, always(refused), rule, everybody)(http.NotFoundHandler()).ServeHTTP(w, r)

		_, limit := checkFields(t, w.Header())
		d := readDocument(t, w)
		if w.Code != http.StatusTooManyRequests || len(d.Violated) != 1 || d.Violated[0] != limit.value {
			t.Fatalf("%d %+v, but %v", w.Code, d, limit)
		}
		base := url.URL{Scheme: "https", Host: "api.example", Path: "/elsewhere"}
		instance, err := base.Parse(d.Instance)
		if err != nil || instance.Host != "api.example" || instance.Path != r.URL.Path || instance.RawQuery != "" {
			t.Fatalf("instance %q of path %q means %v, %v", d.Instance, r.URL.Path, instance, err)
		}
	})
}
