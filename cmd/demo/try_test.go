package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// ask has h answer a request without any network.
func ask(h http.Handler, method, target string) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return answer{w.Code, w.Header(), w.Body.String()}
}

func TestTry(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	for _, tt := range []struct {
		query     string
		status    int
		limit     string
		remaining int64
	}{
		{"limit=10/minute&key=a&cost=4", 200, "10 per 1 minute", 6},
		{"limit=10+per+minute&key=a&cost=4", 200, "10 per 1 minute", 2},
		{"limit=10/minute&key=a&cost=4", 429, "10 per 1 minute", 2},
		{"limit=10/minute&key=a&cost=0", 200, "10 per 1 minute", 2},
		{"limit=10/minute&key=b", 200, "10 per 1 minute", 9},
		{"limit=10/minute", 200, "10 per 1 minute", 9},
		{"limit=10/minute&key=&cost=", 200, "10 per 1 minute", 8},
		{"limit=10/minute&key=demo", 200, "10 per 1 minute", 7},
		{"limit=10/hour&key=a", 200, "10 per 1 hour", 9},
		{"limit=5/hour;20/day&key=a", 200, "5 per 1 hour", 4},
		{"limit=5/hour%3B20/day&key=a", 200, "5 per 1 hour", 3},
		{"limit=0/hour", 429, "0 per 1 hour", 0},
		{"limit=2/hour&cost=3", 429, "2 per 1 hour", 2},
		{"limit=5/minute+sliding", 200, "5 per 1 minute sliding", 4},
		{"limit=5/minute+fixed+aligned", 200, "5 per 1 minute fixed aligned", 4},
		{"limit=5/minute+log", 200, "5 per 1 minute log", 4},
		{"limit=5/day+calendar+in+Europe/Berlin", 200, "5 per 1 day calendar in Europe/Berlin", 4},
		{"limit=5/minute+burst+9", 200, "5 per 1 minute burst 9", 8},
		{"limit=soft+%3D+5/hour;20/day&key=a", 200, "soft", 4},
		{"limit=1/hour;penalty+2/day;policy+deny&key=p", 200, "1 per 1 hour", 0},
		{"limit=1/hour;penalty+2/day;policy+deny&key=p", 429, "1 per 1 hour", 0},
		{"limit=1/hour;penalty+2/day;policy+deny&key=p", 429, "2 per 1 day", 0},
	} {
		a := ask(h, "GET", "/try?"+tt.query)
		var d decision
		a.json(t, &d)
		if a.status != tt.status || d.Allowed != (tt.status == 200) || d.Limit != tt.limit || d.Remaining != tt.remaining || d.Degraded || d.Owner != "alone" {
			t.Errorf("%s: %d %s", tt.query, a.status, a.body)
		}
		if a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
			t.Errorf("%s: no rate-limit headers in %v", tt.query, a.header)
		}
		never := strings.HasPrefix(tt.limit, "0 ") || strings.HasSuffix(tt.query, "cost=3")
		if got, want := a.header.Get("Retry-After") != "", tt.status == 429 && !never; got != want {
			t.Errorf("%s: Retry-After %q", tt.query, a.header.Get("Retry-After"))
		}
		if (d.RetryAfter == nil) != never || d.RetryAfter != nil && (*d.RetryAfter > 0) != (tt.status == 429) {
			t.Errorf("%s: retry_after in %s", tt.query, a.body)
		}
	}
}

// Under a mode everything passes, and says so.
func TestTryModes(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	for i, tt := range []struct {
		mode    string
		refuse  bool
		headers bool
	}{{"shadow", false, true}, {"shadow", true, true}, {"off", false, false}, {"off", false, false}} {
		a := ask(h, "GET", "/try?limit=1/hour;mode+"+tt.mode)
		var d decision
		a.json(t, &d)
		if a.status != 200 || !d.Allowed || d.WouldRefuse != tt.refuse || (a.header.Get("RateLimit") != "") != tt.headers || a.header.Get("Retry-After") != "" {
			t.Errorf("%d, %s: %d %v %s", i, tt.mode, a.status, a.header, a.body)
		}
	}
}

// A slot is taken while a request runs, and nobody knows how long that will be.
func TestTryConcurrent(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	for _, tt := range []struct {
		query     string
		status    int
		remaining int64
	}{
		{"limit=2+concurrent&ms=0", 200, 1},
		{"limit=2+concurrent&ms=0&cost=1", 200, 1}, // the one before is over
		{"limit=0+concurrent&ms=10000", 429, 0},    // at once
		{"limit=0+concurrent;mode+shadow&ms=0", 200, 0},
		{"limit=0+concurrent;mode+off&ms=0", 200, 0},
	} {
		a := ask(h, "GET", "/try?"+tt.query)
		var d decision
		a.json(t, &d)
		if a.status != tt.status || d.Allowed != (tt.status == 200) || d.Remaining != tt.remaining || d.RetryAfter != nil || d.ResetAfter != nil ||
			d.WouldRefuse != strings.Contains(tt.query, "shadow") || a.header.Get("Retry-After") != "" {
			t.Errorf("%s: %d %v %s", tt.query, a.status, a.header, a.body)
		}
	}
}

// How to count is part of the limit, and a queue says how long to wait.
func TestTryDelay(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	for place := range 3 {
		a := ask(h, "GET", "/try?limit=6/minute+leaky")
		var d decision
		a.json(t, &d)
		turn := float64(10 * place)
		if a.status != 200 || d.Delay == nil || *d.Delay > turn || *d.Delay < turn-5 {
			t.Errorf("place %d: %d %s", place, a.status, a.body)
		}
	}
	want(t, ask(h, "GET", "/try?limit=6/minute+fixed&cost=6"), 200)
}

func TestTryRefusesNonsense(t *testing.T) {
	t.Parallel()
	_, h := newAlone(t)
	long := strings.TrimSuffix(strings.Repeat("1000000/hour;", 9), ";")
	for _, tt := range []struct{ query, want string }{
		{"", "limit: "},
		{"limit=", "limit: "},
		{"limit=ten/minute", `expected a count, as in 10/minute, not \"ten\"`},
		{"limit=10/fortnight", "expected second, minute, hour, day, month or year"},
		{"limit=10/minute&cost=x", `cost: \"x\"`},
		{"limit=10/minute&cost=-1", `cost: \"-1\"`},
		{"limit=10/minute&cost=1.5", `cost: \"1.5\"`},
		{"limit=10/minute&cost=9223372036854775808", "cost: "},
		{"limit=" + long, "9 limits; a rule has 1 to 8"},
		{"limit=10/minute;5/fortnight;penalty+x;mode+y", `part 2: `},
		{"limit=10/minute;5/fortnight;penalty+x;mode+y", `part 3: rate string \"x\"`},
		{"limit=10/minute;5/fortnight;penalty+x;mode+y", `part 4: mode \"y\"; give one of`},
		{"limit=10/minute;policy+retreat", "give one of local share, allow and deny"},
		{"limit=10/minute;2+concurrent", "stands alone"},
		{"limit=2+concurrent&cost=2", "cost: under a concurrent limit a request takes one slot"},
		{"limit=2+concurrent&ms=x", `ms: \"x\" is not a whole number of milliseconds, 0 to 10000`},
		{"limit=10/minute&ms=1", "ms: how long a request takes matters to a concurrent limit only"},
		{"limit=10/minute&key=%zz", "the query or the form can't be read"},
	} {
		a := ask(h, "GET", "/try?"+tt.query)
		if a.status != 400 || !strings.Contains(a.body, tt.want) || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want %q", tt.query, a.status, a.body, tt.want)
		}
	}
}

// A rule's name tells its limits, up to the longest that there can be.
func TestTryRule(t *testing.T) {
	t.Parallel()
	r, err := tryRule(" 10/60 seconds ,5 PER hour")
	if err != nil || r.Name() != "/try 10 per 1 minute; 5 per 1 hour" {
		t.Errorf("%v, %v", r, err)
	}
	long := strings.Repeat("1000000000000000000/1000 hour;", 7)
	one, err1 := tryRule(long + "1/hour")
	two, err2 := tryRule(long + "2/hour")
	if err1 != nil || err2 != nil || one.Name() == two.Name() {
		t.Errorf("%v, %v; %v, %v", one, err1, two, err2)
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]float64{0: 0, 1: 0.001, time.Millisecond: 0.001, 1500*time.Millisecond + 1: 1.501} {
		if got := seconds(d); got == nil || *got != want {
			t.Errorf("seconds(%v) is not %v", d, want)
		}
	}
	if seconds(bucket.Never) != nil {
		t.Error("never has a number")
	}
}

// Whatever the query is, there is an answer.
func FuzzTry(f *testing.F) {
	_, h := newAlone(f)
	f.Add("10/minute", "alice", "1")
	f.Add("5/second;60/minute", "", "0")
	f.Add("1 = 5/day fixed; penalty 2/hour; mode shadow", "bob", "")
	f.Add("0 concurrent", "bob", "1")
	f.Add("1/0 year", "\x00", "-9223372036854775808")
	f.Fuzz(func(t *testing.T, limit, key, cost string) {
		q := url.Values{"limit": {limit}, "key": {key}, "cost": {cost}}
		switch a := ask(h, "GET", "/try?"+q.Encode()); a.status {
		case 200, 429, 400:
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// A replica that has left no longer decides, and says so.
func TestClosed(t *testing.T) {
	t.Parallel()
	node, h := newAlone(t)
	want(t, ask(h, "GET", "/readyz"), 200)
	if err := node.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, ask(h, "GET", "/readyz"), 503)
	want(t, ask(h, "GET", "/healthz"), 200)
	want(t, ask(h, "GET", "/try?limit=1/hour"), 503)
	want(t, ask(h, "GET", "/resource/test"), 503)
}
