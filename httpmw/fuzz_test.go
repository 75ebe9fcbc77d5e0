package httpmw_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// FuzzForeignLists has any text in RateLimit, as a handler or a layer around may
// set: what comes out of ours can be read, and has our limit in it.
func FuzzForeignLists(f *testing.F) {
	for _, s := range []string{``, `"a";r=1`, `"a";r=1,"b";r=9`, `"a`, `"a";x="`, `a`, `"\`, `"a";r=99999999999999999999`, `"a",`, "\"a\"\n", `"ours";r=1;t=1`} {
		f.Add(s, int64(5))
	}
	rule := bucket.MustRule("rule", "ours = 10/minute")
	f.Fuzz(func(t *testing.T, had string, left int64) {
		h := http.Header{"Ratelimit": {had}, "Ratelimit-Policy": {had}}
		d := bucket.Decision{Allowed: true, Limit: rule.Limits()[0], Remaining: max(left, 0), ResetAfter: time.Second}
		httpmw.SetHeaders(h, rule, d)
		for name, ours := range map[string]string{"RateLimit": `"ours";r=`, "RateLimit-Policy": `"ours";q=10;w=60`} {
			got := h.Get(name)
			if !strings.Contains(got, ours) {
				t.Errorf("%s: %q, which had %q", name, got, had)
			}
			if _, err := parseList(had); err != nil {
				continue
			}
			if _, err := parseList(got); err != nil {
				t.Errorf("%s: %v, which had %q", name, err, had)
			}
		}
	})
}

// FuzzAnswers has any Accept and any Retry-After: there is an answer in one of the
// three forms, which comes no earlier than either says.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html;q=0.5, */*", "text/plain;q=1.0000", ";;q==,,", "text/html;q=-1"} {
		f.Add(s, "17")
	}
	for _, s := range []string{"0", "99999999999999999999", "Sat, 01 Jan 2000 00:00:05 GMT", "-1", "1.5", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add("", s)
	}
	rule := bucket.MustRule("rule", "0/minute")
	d := bucket.Decision{Limit: rule.Limits()[0], RetryAfter: 10 * time.Second}
	f.Fuzz(func(t *testing.T, accept, had string) {
		synctest.Test(t, func(t *testing.T) {
			h := mustLimit(t, always(d), rule, everybody, httpmw.Answer(httpmw.Answers{ByAccept: true}))(unserved(t))
			around := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", had)
				h.ServeHTTP(w, r)
			})
			w := send(around, "GET", "/", "Accept", accept)
			if after := w.Header().Get("Retry-After"); w.Code != 429 || after != "10" && after != had {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			switch w.Header().Get("Content-Type") {
			case "application/problem+json", "text/html; charset=utf-8", "text/plain; charset=utf-8":
			default:
				t.Errorf("%v", w.Header())
			}
		})
	})
}
