package httpmw_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// The clock on the wall shows 2000-01-01 00:00:00 UTC in the bubble.
const wallClock = 946684800

func TestForms(t *testing.T) {
	rule := bucket.MustRule("rule", "3/minute burst 2; 100/hour")
	slots := bucket.MustRule("slots", "2 concurrent")
	minute := rule.Limits()[0]
	allowed := bucket.Decision{Allowed: true, Limit: minute, Remaining: 1, ResetAfter: 20e9 - 1}
	refused := bucket.Decision{Limit: minute, RetryAfter: 15e9 + 1, ResetAfter: 40e9}
	never := bucket.Decision{Limit: minute, RetryAfter: bucket.Never}
	runs := bucket.Decision{Allowed: true, Limit: slots.Limits()[0], Remaining: 1}
	mapped := httpmw.XFields{Limit: "x-rate-limit-limit", Remaining: "x-rate-limit-remaining", Reset: "x-rate-limit-reset", Delta: true}
	for name, x := range map[string]struct {
		answers httpmw.Answers
		rule    *bucket.Rule
		d       bucket.Decision
		want    map[string]string
	}{
		"draft 11": {httpmw.Answers{}, rule, allowed, map[string]string{"RateLimit-Policy": `"3 per 1 minute burst 2";q=3;w=60, "100 per 1 hour";q=100;w=3600`, "RateLimit": `"3 per 1 minute burst 2";r=1;t=20`}},
		"draft 7":  {httpmw.Answers{Draft: httpmw.Draft7}, rule, allowed, map[string]string{"RateLimit-Policy": `3;w=60, 100;w=3600`, "RateLimit": `limit=2, remaining=1, reset=20`}},
		"draft 7, refused": {httpmw.Answers{Draft: httpmw.Draft7}, rule, refused, map[string]string{"RateLimit-Policy": `3;w=60, 100;w=3600`,
			"RateLimit": `limit=2, remaining=0, reset=40`, "Retry-After": "16"}},
		"draft 7, slots": {httpmw.Answers{Draft: httpmw.Draft7}, slots, runs, map[string]string{"RateLimit-Policy": `2;qu="concurrent-requests"`, "RateLimit": `limit=2, remaining=1`}},
		"draft 6": {httpmw.Answers{Draft: httpmw.Draft6}, rule, allowed, map[string]string{"RateLimit-Policy": `3;w=60, 100;w=3600`,
			"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "20"}},
		"none": {httpmw.Answers{Draft: httpmw.NoDraft}, rule, refused, map[string]string{"Retry-After": "16"}},
		"X": {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit()}, rule, allowed, map[string]string{
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": strconv.Itoa(wallClock + 20)}},
		"X, refused": {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit()}, rule, refused, map[string]string{
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.Itoa(wallClock + 40), "Retry-After": "16"}},
		"X, never": {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit()}, rule, never, map[string]string{"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0"}},
		"X, slots": {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XRateLimit()}, slots, runs, map[string]string{"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1"}},
		"X, mapped": {httpmw.Answers{Draft: httpmw.NoDraft, X: mapped}, rule, allowed, map[string]string{
			"X-Rate-Limit-Limit": "2", "X-Rate-Limit-Remaining": "1", "X-Rate-Limit-Reset": "20"}},
		"X, one":   {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XFields{Remaining: "X-Left"}}, rule, allowed, map[string]string{"X-Left": "1"}},
		"the date": {httpmw.Answers{Draft: httpmw.NoDraft, RetryDate: true}, rule, refused, map[string]string{"Retry-After": "Sat, 01 Jan 2000 00:00:16 GMT"}},
		"exposed": {httpmw.Answers{Draft: httpmw.NoDraft, X: httpmw.XFields{Remaining: "X-Left"}, Expose: true}, rule, allowed, map[string]string{
			"X-Left": "1", "Access-Control-Expose-Headers": "Retry-After, X-Left"}},
		"draft 6, exposed": {httpmw.Answers{Draft: httpmw.Draft6, Expose: true}, slots, runs, map[string]string{"RateLimit-Policy": `2;qu="concurrent-requests"`,
			"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "Access-Control-Expose-Headers": "Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, want := http.Header{}, http.Header{}
			x.answers.SetHeaders(h, x.rule, x.d)
			for field, value := range x.want {
				want.Set(field, value)
			}
			if !reflect.DeepEqual(h, want) {
				t.Errorf("%s:\n got %v\nwant %v", name, h, want)
			}
		})
	}
}

// Half a second past the full one is rounded up as well.
func TestUnixSecondsRoundUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := bucket.MustRule("rule", "1/minute")
		a := httpmw.Answers{X: httpmw.XRateLimit(), RetryDate: true}
		d := bucket.Decision{Limit: rule.Limits()[0], RetryAfter: 600 * time.Millisecond, ResetAfter: 600 * time.Millisecond}
		for _, want := range []int{1, 2, 2} { // at 0 s, at 0.5 s, at 1 s
			h := http.Header{}
			a.SetHeaders(h, rule, d)
			if date := fmt.Sprintf("Sat, 01 Jan 2000 00:00:%02d GMT", want); h.Get("X-RateLimit-Reset") != strconv.Itoa(wallClock+want) || h.Get("Retry-After") != date {
				t.Errorf("got %v, want %d", h, want)
			}
			time.Sleep(500 * time.Millisecond)
		}
	})
}

// A later time that somebody has set stays, in either form.
func TestRetryAfterIsNeverShortened(t *testing.T) {
	rule := bucket.MustRule("rule", "1/minute")
	d := bucket.Decision{Limit: rule.Limits()[0], RetryAfter: 10 * time.Second}
	for _, x := range []struct{ had, seconds, date string }{
		{"", "10", "Sat, 01 Jan 2000 00:00:10 GMT"},
		{"3", "10", "Sat, 01 Jan 2000 00:00:10 GMT"},
		{"30", "30", "30"},
		{"99999999999999999999", "10", "Sat, 01 Jan 2000 00:00:10 GMT"}, // is no number
		{"Sat, 01 Jan 2000 00:00:05 GMT", "10", "Sat, 01 Jan 2000 00:00:10 GMT"},
		{"Sat, 01 Jan 2000 00:01:00 GMT", "Sat, 01 Jan 2000 00:01:00 GMT", "Sat, 01 Jan 2000 00:01:00 GMT"},
		{"Saturday, 01-Jan-00 00:01:00 GMT", "Saturday, 01-Jan-00 00:01:00 GMT", "Saturday, 01-Jan-00 00:01:00 GMT"},
		{"soon", "10", "Sat, 01 Jan 2000 00:00:10 GMT"},
		{"-5", "10", "Sat, 01 Jan 2000 00:00:10 GMT"},
	} {
		synctest.Test(t, func(t *testing.T) {
			for date, want := range map[bool]string{false: x.seconds, true: x.date} {
				h := http.Header{}
				if x.had != "" {
					h.Set("Retry-After", x.had)
				}
				if (httpmw.Answers{RetryDate: date}).SetHeaders(h, rule, d); h.Get("Retry-After") != want {
					t.Errorf("%q, date %t: got %q, want %q", x.had, date, h.Get("Retry-After"), want)
				}
			}
		})
	}
}

// Jitter spreads, up to its bound, all times of an answer alike, and never makes
// one earlier.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := bucket.MustRule("rule", "1/minute")
		a := httpmw.Answers{Jitter: 20 * time.Second, X: httpmw.XRateLimit()}
		d := bucket.Decision{Limit: rule.Limits()[0], RetryAfter: 10 * time.Second, ResetAfter: 10 * time.Second}
		seen := map[string]bool{}
		for range 400 {
			h := http.Header{}
			a.SetHeaders(h, rule, d)
			after := h.Get("Retry-After")
			n, err := strconv.Atoi(after)
			if err != nil || n < 10 || n > 30 || h.Get("RateLimit") != `"1 per 1 minute";r=0;t=`+after || h.Get("X-RateLimit-Reset") != strconv.Itoa(wallClock+n) {
				t.Fatalf("got %v", h)
			}
			seen[after] = true
		}
		if len(seen) < 10 { // of 21: 1 in 10^100 by chance
			t.Errorf("400 answers have only these: %v", seen)
		}
		h := http.Header{}
		d = bucket.Decision{Allowed: true, Limit: rule.Limits()[0], Remaining: 1}
		if (httpmw.Answers{Jitter: time.Hour}).SetHeaders(h, rule, d); h.Get("RateLimit") != `"1 per 1 minute";r=1;t=0` {
			t.Errorf("what is whole comes later: %v", h)
		}
		h = http.Header{}
		d = bucket.Decision{Limit: rule.Limits()[0], RetryAfter: bucket.Never - 1}
		if (httpmw.Answers{Jitter: bucket.Never}).SetHeaders(h, rule, d); h.Get("Retry-After") != "9223372037" {
			t.Errorf("the sum is too much: %v", h)
		}
	})
}

func TestExpose(t *testing.T) {
	rule := bucket.MustRule("rule", "1/minute")
	d := bucket.Decision{Allowed: true, Limit: rule.Limits()[0]}
	for had, want := range map[string]string{
		"":                               "Retry-After, RateLimit, RateLimit-Policy",
		"X-Id":                           "X-Id, Retry-After, RateLimit, RateLimit-Policy",
		"retry-after,X-Id":               "retry-after,X-Id, RateLimit, RateLimit-Policy",
		"RateLimit, RateLimit-Policy, X": "RateLimit, RateLimit-Policy, X, Retry-After",
		"*":                              "*",
		"Retry-After,RateLimit-Policy, ratelimit": "Retry-After,RateLimit-Policy, ratelimit",
	} {
		h := http.Header{}
		if had != "" {
			h.Set("Access-Control-Expose-Headers", had)
		}
		if (httpmw.Answers{Expose: true}).SetHeaders(h, rule, d); h.Get("Access-Control-Expose-Headers") != want {
			t.Errorf("%q: got %q, want %q", had, h.Get("Access-Control-Expose-Headers"), want)
		}
	}
}

func TestByAccept(t *testing.T) {
	const (
		problem = "application/problem+json"
		page    = "text/html; charset=utf-8"
		text    = "text/plain; charset=utf-8"
	)
	rule := newRule(t, bucket.Limit{Name: "at <most> none", Count: 0, Per: time.Minute})
	h := mustLimit(t, newMemory(), rule, everybody, httpmw.Answer(httpmw.Answers{ByAccept: true}))(unserved(t))
	bodies := map[string]string{
		problem: `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded",` +
			`"status":429,"detail":"at \u003cmost\u003e none","instance":"/","violated-policies":["at \u003cmost\u003e none"]}` + "\n",
		page: "<!doctype html>\n<html lang=en>\n<title>429 Too Many Requests</title>\n<h1>Too Many Requests</h1>\n<p>at &lt;most&gt; none</p>\n",
		text: "at <most> none\n",
	}
	for accept, want := range map[string]string{
		"":                            problem,
		"*/*":                         problem,
		"application/json":            problem,
		"application/*;q=0.5":         problem,
		"image/png":                   problem, // none: the draft's
		"text/html":                   page,
		"TEXT/HTML ; Q=0.3":           page,
		"text/*":                      page,
		"text/plain":                  text,
		"text/html;q=0.5,text/plain":  text,
		"text/plain;q=0.5, */*;q=0.1": text,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": page, // a browser
		"text/html;q=0, */*;q=0.1":                  problem,
		"application/problem+json;q=0, */*":         page,
		"application/json;q=0,text/*;q=0.001":       page,
		"text/html;level=1;q=0.4, text/plain;q=0.3": page,
		"text/html;q=2, text/plain;q=0.1":           text, // 2 is no weight
		"text/html;q=0.1234, text/plain;q=0.1":      text,
		"text/html;q=x":                             problem,
		"text/html;q=1.000":                         page,
		"text/html;q=":                              problem,
		",, ;q=1,text/plain":                        text,
	} {
		var headers []string
		for line := range strings.SplitSeq(accept, "\n") {
			headers = append(headers, "Accept", line)
		}
		w := send(h, "GET", "/", headers...)
		if got := w.Header().Get("Content-Type"); w.Code != 429 || got != want || w.Body.String() != bodies[want] || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: got %d %s %q", accept, w.Code, got, w.Body)
		}
	}
	if w := send(h, "GET", "/", "Accept", "text/html;q=0.1", "Accept", "text/plain"); w.Header().Get("Content-Type") != text {
		t.Errorf("two lines: %v", w.Header())
	}
	if w := send(mustLimit(t, failingMemory{newMemory()}, rule, everybody, httpmw.Answer(httpmw.Answers{ByAccept: true}))(unserved(t)), "GET", "/", "Accept", "text/plain"); w.Code != 503 ||
		w.Body.String() != "Request cannot be satisfied due to temporary server capacity constraints\n" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestMessage(t *testing.T) {
	message := func(r *http.Request, why httpmw.Refusal) string {
		after, known := why.RetryAfter()
		return fmt.Sprintf("%s: %d, %v, %t, %t", r.URL.Path, why.Status, after, known, why.Penalized())
	}
	for text, want := range map[string]string{
		"1/minute":                         "/: 429, 1m0s, true, false",
		"1/minute; penalty 1/hour fixed":   "/: 429, 1h0m0s, true, true",
		"0/minute; penalty 100/hour fixed": "/: 429, 2562047h47m16.854775807s, false, false",
	} {
		rule := bucket.MustRule("rule", text)
		h := mustLimit(t, newMemory(), rule, everybody, httpmw.Answer(httpmw.Answers{ByAccept: true, Message: message}))(silent())
		call(h, "GET", "/")
		call(h, "GET", "/")
		w := send(h, "GET", "/", "Accept", "text/plain")
		if got := strings.TrimSpace(w.Body.String()); w.Code != 429 || got != want {
			t.Errorf("%s: got %d %s, want %s", text, w.Code, got, want)
		}
	}
	h := mustLimit(t, newMemory(), bucket.MustRule("rule", "1/minute"), theUser, httpmw.Answer(httpmw.Answers{Message: message}))(silent())
	if w := call(h, "GET", "/"); w.Code != 400 || !strings.Contains(w.Body.String(), `"detail":"/: 400, 0s, false, false"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// The status stays what it is, unless the handler says otherwise.
func TestRefused(t *testing.T) {
	rule := bucket.MustRule("rule", "0/minute")
	for name, x := range map[string]struct {
		refused func(http.ResponseWriter, *http.Request, httpmw.Refusal)
		status  int
		body    string
	}{
		"a body": {func(w http.ResponseWriter, _ *http.Request, why httpmw.Refusal) {
			fmt.Fprint(w, "slow down: ", why.By[0].Rule.Name())
		}, 429, "slow down: rule"},
		"a status": {func(w http.ResponseWriter, _ *http.Request, _ httpmw.Refusal) { w.WriteHeader(http.StatusForbidden) }, 403, ""},
		"nothing":  {func(http.ResponseWriter, *http.Request, httpmw.Refusal) {}, 429, ""},
	} {
		h := mustLimit(t, newMemory(), rule, everybody, httpmw.Answer(httpmw.Answers{Refused: x.refused}))(unserved(t))
		w := call(h, "GET", "/")
		if w.Code != x.status || w.Body.String() != x.body || w.Header().Get("RateLimit") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
}

func TestRefuse(t *testing.T) {
	rule := bucket.MustRule("rule", "1/minute")
	limiter := newMemory()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := limiter.Take(r.Context(), rule, "key", 1)
		if err != nil || !d.Allowed {
			httpmw.Refuse(w, r, rule, d)
			return
		}
		httpmw.SetHeaders(w.Header(), rule, d)
	})
	limited := mustLimit(t, newMemory(), rule, everybody)(silent())
	for range 2 {
		got, want := call(h, "GET", "/x"), call(limited, "GET", "/x")
		if got.Code != want.Code || !reflect.DeepEqual(got.Header(), want.Header()) || got.Body.String() != want.Body.String() {
			t.Errorf("got  %d %v %s\nwant %d %v %s", got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
}
