package httpmw_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// In shadow everything passes, and the headers tell the truth about the limit.
func TestShadow(t *testing.T) {
	limiter := newLocal()
	rule := bucket.MustRule("rule", "1/minute; mode shadow")
	h := newLimit(t, limiter, rule, everybody)(silent())
	for i, x := range []struct {
		at    time.Duration
		limit string
	}{
		{0, `"1 per 1 minute";r=0;t=60`},
		{0, `"1 per 1 minute";r=0;t=60`}, // would have been refused
		{50 * time.Second, `"1 per 1 minute";r=0;t=10`},
		{60 * time.Second, `"1 per 1 minute";r=0;t=60`},
	} {
		limiter.now.Store(int64(x.at))
		w := call(h, "GET", "/")
		want := http.Header{"Ratelimit-Policy": {`"1 per 1 minute";q=1;w=60`}, "Ratelimit": {x.limit}}
		if w.Code != http.StatusOK || !reflect.DeepEqual(w.Header(), want) {
			t.Errorf("request %d: got %d %v, want %v", i, w.Code, w.Header(), want)
		}
	}
	never := newLimit(t, limiter, bucket.MustRule("never", "0/minute; mode shadow"), everybody)(silent())
	if w := call(never, "GET", "/"); w.Code != http.StatusOK || w.Header().Get("RateLimit") != `"0 per 1 minute";r=0` || w.Header().Get("Retry-After") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

// The mode changes what becomes of requests from one to the next.
func TestModesChange(t *testing.T) {
	rule := bucket.MustRule("rule", "0/minute")
	h := newLimit(t, newLocal(), rule, everybody)(silent())
	for _, x := range []struct {
		mode    bucket.Mode
		status  int
		headers bool
	}{
		{bucket.Enforce, 429, true},
		{bucket.Off, 200, false}, // nothing is limited, so nothing is said
		{bucket.Shadow, 200, true},
		{bucket.Enforce, 429, true},
	} {
		if err := rule.SetMode(x.mode); err != nil {
			t.Fatal(err)
		}
		w := call(h, "GET", "/")
		if w.Code != x.status || (w.Header().Get("RateLimit") != "") != x.headers || (w.Header().Get("RateLimit-Policy") != "") != x.headers {
			t.Errorf("%v: got %d %v", x.mode, w.Code, w.Header())
		}
	}
}

// A penalty that refuses is named, as what it is; it is no policy otherwise.
func TestPenalty(t *testing.T) {
	limiter := newLocal()
	rule := bucket.MustRule("rule", "1/second; penalty banned = 2/hour fixed")
	h := newLimit(t, limiter, rule, everybody)(silent())
	for i, x := range []struct {
		at           time.Duration
		status       int
		limit, retry string
		problem      string
	}{
		{0, 200, `"1 per 1 second";r=0;t=1`, "", ""},
		{0, 429, `"1 per 1 second";r=0;t=1`, "1", "quota-exceeded"},
		{0, 429, `"banned";r=0;t=3600`, "3600", "abnormal-usage-detected"},
		{10 * time.Second, 429, `"banned";r=0;t=3590`, "3590", "abnormal-usage-detected"},
		{time.Hour, 200, `"1 per 1 second";r=0;t=1`, "", ""},
	} {
		limiter.now.Store(int64(x.at))
		w := call(h, "GET", "/")
		if w.Code != x.status || w.Header().Get("RateLimit") != x.limit || w.Header().Get("Retry-After") != x.retry ||
			w.Header().Get("RateLimit-Policy") != `"1 per 1 second";q=1;w=1` {
			t.Errorf("request %d: got %d %v, want %+v", i, w.Code, w.Header(), x)
		}
		if x.problem == "" {
			continue
		}
		var p struct {
			Type     string
			Violated []string `json:"violated-policies"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		name := "1 per 1 second"
		if x.problem == "abnormal-usage-detected" {
			name = "banned"
		}
		if p.Type != "https://iana.org/assignments/http-problem-types#"+x.problem || !reflect.DeepEqual(p.Violated, []string{name}) {
			t.Errorf("request %d: %s", i, w.Body)
		}
	}
}
