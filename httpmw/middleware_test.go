package httpmw_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// exchange is one request of a story, and what it must be answered.
type exchange struct {
	at     time.Duration
	status int
	limit  string // RateLimit
	retry  string // Retry-After; "" for none
}

func TestStories(t *testing.T) {
	const (
		s     = time.Second
		ok    = http.StatusOK
		never = ""
	)
	for _, story := range []struct {
		name      string
		limits    []bucket.Limit
		policy    string
		exchanges []exchange
	}{
		{"three per minute", []bucket.Limit{{Count: 3, Per: time.Minute}}, `"3 per 1 minute";q=3;w=60`, []exchange{
			{0, ok, `"3 per 1 minute";r=2;t=20`, ""},
			{0, ok, `"3 per 1 minute";r=1;t=20`, ""},
			{0, ok, `"3 per 1 minute";r=0;t=20`, ""},
			{0, 429, `"3 per 1 minute";r=0;t=20`, "20"},
			{1, 429, `"3 per 1 minute";r=0;t=20`, "20"}, // 19.999999999 s
			{1 * s, 429, `"3 per 1 minute";r=0;t=19`, "19"},
			{20*s - 1, 429, `"3 per 1 minute";r=0;t=1`, "1"},
			{20 * s, ok, `"3 per 1 minute";r=0;t=20`, ""}, // refusals took nothing
			{500 * s, ok, `"3 per 1 minute";r=2;t=20`, ""},
		}},
		{"waits are rounded up", []bucket.Limit{{Count: 7, Per: time.Minute, Burst: 1}}, `"7 per 1 minute burst 1";q=7;w=60`, []exchange{
			{0, ok, `"7 per 1 minute burst 1";r=0;t=9`, ""},
			{0, 429, `"7 per 1 minute burst 1";r=0;t=9`, "9"}, // 8.57 s
			{9 * s, ok, `"7 per 1 minute burst 1";r=0;t=9`, ""},
		}},
		{"nothing may pass", []bucket.Limit{{Count: 0, Per: time.Hour}}, `"0 per 1 hour";q=0;w=3600`, []exchange{
			{0, 429, `"0 per 1 hour";r=0`, never},
			{500 * s, 429, `"0 per 1 hour";r=0`, never},
		}},
		{"several limits", []bucket.Limit{{Count: 2, Per: s}, {Name: "slow", Count: 3, Per: time.Minute}},
			`"2 per 1 second";q=2;w=1, "slow";q=3;w=60`, []exchange{
				{0, ok, `"2 per 1 second";r=1;t=1`, ""}, // fewer left than of the other
				{0, ok, `"2 per 1 second";r=0;t=1`, ""},
				{0, 429, `"2 per 1 second";r=0;t=1`, "1"},
				{1 * s, ok, `"slow";r=0;t=19`, ""},
				{1 * s, 429, `"slow";r=0;t=19`, "19"}, // which refused, though the first has one left
				{20 * s, ok, `"slow";r=0;t=20`, ""},
			}},
		{"a name to be escaped", []bucket.Limit{{Name: `say "hi", \o/`, Count: 1, Per: time.Minute}}, `"say \"hi\", \\o/";q=1;w=60`, []exchange{
			{0, ok, `"say \"hi\", \\o/";r=0;t=60`, ""},
			{0, 429, `"say \"hi\", \\o/";r=0;t=60`, "60"},
		}},
		{"windows below a second", []bucket.Limit{{Count: 5, Per: 100 * time.Millisecond}, {Count: 1, Per: 1500 * time.Millisecond}},
			`"5 per 100ms";q=5;w=1, "1 per 1.5s";q=1;w=2`, []exchange{
				{0, ok, `"1 per 1.5s";r=0;t=2`, ""},
				{0, 429, `"1 per 1.5s";r=0;t=2`, "2"},
				{1500 * time.Millisecond, ok, `"1 per 1.5s";r=0;t=2`, ""},
			}},
		{"microseconds, which Go writes with a letter beyond ASCII", []bucket.Limit{{Count: 1, Per: 500 * time.Microsecond}}, `"1 per 500us";q=1;w=1`, []exchange{
			{0, ok, `"1 per 500us";r=0;t=1`, ""},
			{0, 429, `"1 per 500us";r=0;t=1`, "1"},
		}},
		{"a count beyond 15 digits", []bucket.Limit{{Name: "huge", Count: math.MaxInt64, Per: s}}, `"huge";q=999999999999999;w=1`, []exchange{
			{0, ok, `"huge";r=999999999999999;t=1`, ""},
		}},
		{"16 digits", []bucket.Limit{{Name: "huge", Count: 1e15, Per: 1000 * s}}, `"huge";q=999999999999999;w=1000`, []exchange{
			{0, ok, `"huge";r=999999999999999;t=1`, ""},
		}},
		{"15 digits", []bucket.Limit{{Name: "large", Count: 999_999_999_999_999, Per: 1000 * s}}, `"large";q=999999999999999;w=1000`, []exchange{
			{0, ok, `"large";r=999999999999998;t=1`, ""},
		}},
		{"the longest window", []bucket.Limit{{Count: math.MaxInt64, Per: math.MaxInt64, Burst: 1}},
			`"9223372036854775807 per 2562047h47m16.854775807s burst 1";q=999999999999999;w=9223372037`, []exchange{
				{0, ok, `"9223372036854775807 per 2562047h47m16.854775807s burst 1";r=0;t=1`, ""},
			}},
	} {
		t.Run(story.name, func(t *testing.T) {
			limiter := newLocal()
			h := newLimit(t, limiter, newRule(t, story.limits...), everybody)(silent())
			for i, x := range story.exchanges {
				limiter.now.Store(int64(x.at))
				w := call(h, "GET", "/")
				want := http.Header{"Ratelimit-Policy": {story.policy}, "Ratelimit": {x.limit}}
				if x.status == http.StatusTooManyRequests {
					want.Set("Cache-Control", "no-store")
					want.Set("Content-Length", strconv.Itoa(w.Body.Len()))
					want.Set("Content-Type", "application/problem+json")
					want.Set("X-Content-Type-Options", "nosniff")
				}
				if x.retry != "" {
					want.Set("Retry-After", x.retry)
				}
				if w.Code != x.status || !reflect.DeepEqual(w.Header(), want) {
					t.Errorf("request %d at %v:\n got %d %v\nwant %d %v", i, x.at, w.Code, w.Header(), x.status, want)
				}
				checkFields(t, w.Header())
			}
		})
	}
}

func TestLimiterIsAskedOnceForOneToken(t *testing.T) {
	type contextKey struct{}
	rule, asked := newRule(t, bucket.Limit{Count: 1, Per: 1}), 0
	l := limiterFunc(func(ctx context.Context, r *bucket.Rule, key string, tokens int64) (bucket.Decision, error) {
		asked++
		if ctx.Value(contextKey{}) != "the request's" || r != rule || key != "alice" || tokens != 1 {
			t.Errorf("asked for %d of %q under %v with %v", tokens, key, r, ctx)
		}
		return bucket.Decision{Allowed: true}, nil
	})
	h := newLimit(t, l, rule, httpmw.Header("X-User"))(silent())
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-User", "alice")
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(t.Context(), contextKey{}, "the request's")))
	if asked != 1 {
		t.Errorf("the limiter was asked %d times", asked)
	}
}

// plain is a ResponseWriter that net/http doesn't know.
type plain struct{ http.ResponseWriter }

func TestHandlerGetsTheRequestAndTheWriterThemselves(t *testing.T) {
	var writer http.ResponseWriter = &plain{httptest.NewRecorder()}
	request := httptest.NewRequest("GET", "/", nil)
	called := false
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = true
		if w != writer || r != request {
			t.Error("a wrapped writer hides Flush, Hijack and the like; another request what was stored in it")
		}
	})
	newLimit(t, always(bucket.Decision{Allowed: true}), newRule(t, bucket.Limit{Count: 1, Per: 1}), everybody)(next).ServeHTTP(writer, request)
	if !called {
		t.Error("the handler wasn't called")
	}
}

func TestHandlersOwnHeadersStay(t *testing.T) {
	own := http.Header{
		"Cache-Control":          {"public, max-age=60"},
		"Content-Type":           {"text/csv"},
		"Etag":                   {`"v1"`},
		"Retry-After":            {"3"},
		"Vary":                   {"Accept", "Origin"},
		"X-Content-Type-Options": {"something"},
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range own {
			w.Header()[name] = values
		}
		w.WriteHeader(http.StatusAccepted)
	})
	w := call(newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 1, Per: time.Minute}), everybody)(next), "POST", "/")
	want := own.Clone()
	want.Set("RateLimit-Policy", `"1 per 1 minute";q=1;w=60`)
	want.Set("RateLimit", `"1 per 1 minute";r=0;t=60`)
	if w.Code != http.StatusAccepted || !reflect.DeepEqual(w.Header(), want) {
		t.Errorf("got %d %v, want %v", w.Code, w.Header(), want)
	}
}

func TestNoKey(t *testing.T) {
	for name, key := range map[string]httpmw.KeyFunc{
		"error":         func(*http.Request) (string, error) { return "", errors.New("who are you?") },
		"error and key": func(*http.Request) (string, error) { return "alice", errors.New("are you really?") },
		"empty key":     func(*http.Request) (string, error) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newLimit(t, unreached(t), newRule(t, bucket.Limit{Count: 1, Per: 1}), key)(unserved(t))
			checkRefusal(t, call(h, "GET", "/a/b?c=d"), http.StatusBadRequest,
				`{"type":"about:blank","title":"Bad Request","status":400,`+
					`"detail":"the request does not say on whose behalf it is made","instance":"/a/b"}`)
		})
	}
}

func TestNoDecision(t *testing.T) {
	for name, err := range map[string]error{
		"closed":             errors.New("node closed"),
		"the context's end":  context.Canceled,
		"the context's time": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			h := newLimit(t, failing(err), newRule(t, bucket.Limit{Count: 1, Per: 1}), everybody)(unserved(t))
			checkRefusal(t, call(h, "GET", "/a/b?c=d"), http.StatusServiceUnavailable,
				`{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",`+
					`"title":"Request cannot be satisfied due to temporary server capacity constraints","status":503,"instance":"/a/b"}`)
		})
	}
}

// checkRefusal wants a problem document and no header about limits.
func checkRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	want := http.Header{
		"Cache-Control":          {"no-store"},
		"Content-Length":         {strconv.Itoa(len(body) + 1)},
		"Content-Type":           {"application/problem+json"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if w.Code != status || !reflect.DeepEqual(w.Header(), want) {
		t.Errorf("got %d %v, want %d %v", w.Code, w.Header(), status, want)
	}
	if got := w.Body.String(); got != body+"\n" {
		t.Errorf("got body\n%swant\n%s", got, body)
	}
}

func TestRefusedRequestsDontReachTheHandler(t *testing.T) {
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 0, Per: 1}), everybody)(unserved(t))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"} {
		if w := call(h, method, "/"); w.Code != http.StatusTooManyRequests {
			t.Errorf("%s: got %d", method, w.Code)
		}
	}
}

func TestPanicsPassThrough(t *testing.T) {
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 2, Per: time.Minute}), everybody)(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 2 {
		func() {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("got %v, want the handler's panic", got)
				}
			}()
			call(h, "GET", "/")
		}()
	}
	if w := call(h, "GET", "/"); w.Code != http.StatusTooManyRequests {
		t.Errorf("requests that panic don't count: got %d", w.Code)
	}
}

func TestMethodsShare(t *testing.T) {
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 3, Per: time.Minute}), everybody)(silent())
	for i, method := range []string{"GET", "POST", "HEAD"} {
		if w := call(h, method, "/"); w.Code != http.StatusOK {
			t.Errorf("request %d, %s: got %d", i, method, w.Code)
		}
	}
	for _, method := range []string{"GET", "POST", "HEAD", "DELETE"} {
		if w := call(h, method, "/"); w.Code != http.StatusTooManyRequests {
			t.Errorf("%s: got %d", method, w.Code)
		}
	}
}

func TestRoutesOfOneRuleShare(t *testing.T) {
	limiter := newLocal()
	shared := bucket.MustRule("shared", "2/minute")
	limit := newLimit(t, limiter, shared, httpmw.ClientIP())
	mux := http.NewServeMux()
	mux.Handle("/a", limit(silent()))
	mux.Handle("/b", limit(silent()))
	mux.Handle("/c", newLimit(t, limiter, bucket.MustRule("shared", "2/minute"), httpmw.ClientIP())(silent())) // the name is the identity
	mux.Handle("/other", newLimit(t, limiter, bucket.MustRule("other", "2/minute"), httpmw.ClientIP())(silent()))
	mux.Handle("/free", silent())
	for i, x := range []struct {
		path   string
		status int
	}{
		{"/a", 200}, {"/b", 200}, {"/a", 429}, {"/b", 429}, {"/c", 429},
		{"/other", 200}, {"/other", 200}, {"/other", 429}, {"/free", 200},
	} {
		w := call(mux, "GET", x.path)
		if w.Code != x.status {
			t.Errorf("request %d, %s: got %d, want %d", i, x.path, w.Code, x.status)
		}
		if x.path == "/free" && len(w.Header()) != 0 {
			t.Errorf("a route without limit has headers: %v", w.Header())
		}
	}
}

func TestKeysDontShare(t *testing.T) {
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 1, Per: time.Minute}), httpmw.Header("X-User"))(silent())
	for i, x := range []struct {
		user   string
		status int
	}{{"alice", 200}, {"alice", 429}, {"bob", 200}, {"Alice", 200}, {"bob", 429}, {"", 400}} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("x-user", x.user)
		h.ServeHTTP(w, r)
		if w.Code != x.status {
			t.Errorf("request %d of %q: got %d, want %d", i, x.user, w.Code, x.status)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	var served, passed, refused atomic.Int64
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })
	h := newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 10, Per: time.Minute}, bucket.Limit{Count: 1000, Per: time.Hour}), everybody)(next)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			<-start
			switch w := call(h, "GET", "/"); w.Code {
			case http.StatusOK:
				passed.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	if served.Load() != 10 || passed.Load() != 10 || refused.Load() != 90 {
		t.Errorf("of 100 at once %d were served, %d passed and %d were refused; want 10, 10 and 90", served.Load(), passed.Load(), refused.Load())
	}
}

// TestOverTheWire has a server of net/http tell a HEAD from a GET.
func TestOverTheWire(t *testing.T) {
	server := httptest.NewServer(newLimit(t, newLocal(), newRule(t, bucket.Limit{Count: 0, Per: time.Minute}), httpmw.ClientIP())(unserved(t)))
	defer server.Close()
	headers := map[string]http.Header{}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		r, err := http.NewRequest(method, server.URL+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s: %d, %v", method, response.StatusCode, err)
		}
		length, err := strconv.Atoi(response.Header.Get("Content-Length"))
		if err != nil || (len(body) != length) != (method == "HEAD") || method == "HEAD" && len(body) > 0 {
			t.Errorf("%s: %d bytes of body under Content-Length %q", method, len(body), response.Header.Get("Content-Length"))
		}
		response.Header.Del("Date")
		headers[method] = response.Header
	}
	if !reflect.DeepEqual(headers["HEAD"], headers["GET"]) || !reflect.DeepEqual(headers["POST"], headers["GET"]) {
		t.Errorf("the headers differ: %v", headers)
	}
}
