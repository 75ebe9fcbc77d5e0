package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
	"github.com/shoal-dev/shoal/httpmw"
)

// server is a limiter behind an HTTP client, without sockets. It takes a millisecond to
// answer.
type server struct {
	rule  *bucket.Rule
	store *bucket.Store
	began time.Time

	mu   sync.Mutex
	urls map[string]int
	odd  func(n int) (status int, err error) // what else becomes of the n-th request
	n    int
}

func newServer(limits string) *server {
	return &server{rule: bucket.MustRule("load", limits), store: bucket.NewStore(bucket.StoreConfig{}), began: time.Now(), urls: map[string]int{}}
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Millisecond)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urls[r.URL.RequestURI()]++
	s.n++
	if s.odd != nil {
		if status, err := s.odd(s.n); status != 0 || err != nil {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, err
		}
	}
	d := s.store.Take(s.rule, r.URL.Query().Get("key"), 1, int64(time.Since(s.began)))
	w := httptest.NewRecorder()
	httpmw.SetHeaders(w.Header(), s.rule, d)
	status := http.StatusOK
	if !d.Allowed {
		status = http.StatusTooManyRequests
	}
	w.WriteHeader(status)
	fmt.Fprint(w.Body, `{"degraded":true}`)
	return w.Result(), nil
}

func config(route string, rate, keys int, d time.Duration) Config {
	return Config{Plan: pace.Plan{Rate: rate, Keys: keys, Duration: d}, Target: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Route: route}
}

// sends runs a load and returns its report and what else it wrote.
func sends(t *testing.T, ctx context.Context, c Config, s *server) (r report, progress string, err error) {
	t.Helper()
	c.JSON = true
	var stdout, lines bytes.Buffer
	err = run(ctx, c, &http.Client{Transport: s}, &stdout, &lines)
	if fault := json.Unmarshal(stdout.Bytes(), &r); fault != nil {
		t.Fatalf("%v in %q", fault, stdout.String())
	}
	return r, lines.String(), err
}

func TestALimitThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer("10/second burst 20")
		r, progress, err := sends(t, t.Context(), config("/x?key={key}", 200, 2, 5*time.Second), s)
		if err != nil || *r.Over != 0 || r.Limit != "10 per 1 second burst 20" {
			t.Errorf("%v, %d over %q", err, *r.Over, r.Limit)
		}
		if r.Answered != 1000 || r.Admitted < 135 || r.Admitted > 140 || r.Refused != 1000-r.Admitted || r.Degraded != 1000 || len(r.Failures) != 0 {
			t.Errorf("%+v", r)
		}
		if k := r.PerKey[1]; k.Key != "user-2" || *k.AtMost != 69 || k.Admitted > *k.AtMost || *k.Over != 0 {
			t.Errorf("%+v", k)
		}
		if r.Latency.P50 < 1 || r.Latency.Max > 1.1 {
			t.Errorf("every answer takes 1 ms: %+v", r.Latency)
		}
		if lines := strings.Count(progress, "\n"); lines != 4 || !strings.Contains(progress, "0 over") {
			t.Errorf("%d lines of progress:\n%s", lines, progress)
		}
		if len(s.urls) != 2 || s.urls["/x?key=user-1"] == 0 {
			t.Errorf("asked for %v", s.urls)
		}
	})
}

func TestALimitThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config("/x?key={key}&limit={limit}", 100, 1, 2*time.Second)
		c.Text = "5/second"
		c.Limits, _ = bucket.ParseLimits(c.Text)
		s := newServer("20/second")
		r, _, err := sends(t, t.Context(), c, s)
		if !errors.Is(err, ErrOver) || *r.Over != r.Admitted-15+1 && *r.Over != r.Admitted-15 {
			t.Errorf("%v: %d of %d over", err, *r.Over, r.Admitted)
		}
		if s.urls["/x?key=user-1&limit=5%2Fsecond"] != 200 {
			t.Errorf("asked for %v", s.urls)
		}
	})
}

func TestTheTextNamesTheWorst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config("/x?key={key}", 500, 30, time.Second)
		var out bytes.Buffer
		if err := run(t.Context(), c, &http.Client{Transport: newServer("1/second")}, &out, io.Discard); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"answered 500: ", "latency from when a request was due: p50 1.0", "limit 1 per 1 second for each key", "and 10 more keys", "admitted over the limit: 0"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	})
}

func TestWhatGoesWrongIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer("10/second")
		s.odd = func(n int) (int, error) {
			switch n % 4 {
			case 0:
				return 503, nil
			case 1:
				return 0, errors.New("broken")
			}
			return 0, nil
		}
		r, _, err := sends(t, t.Context(), config("/", 100, 1, time.Second), s)
		if err != nil || r.Failures["status 503"] != 25 || r.Failures["broken"] != 25 || r.Answered != 100 {
			t.Errorf("%v, %+v", err, r)
		}
		s.odd = func(int) (int, error) { return 500, nil }
		if _, _, err := sends(t, t.Context(), config("/", 100, 1, time.Second), s); err == nil || !strings.Contains(err.Error(), "no request to http://127.0.0.1:1/ succeeded: status 500") {
			t.Errorf("all fail: %v", err)
		}
	})
}

func TestAnInterruptedLoadHasASummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r, _, err := sends(t, ctx, config("/", 100, 1, time.Minute), newServer("10/second"))
		if err != nil || r.Seconds > 2.1 || r.Answered != 200 || len(r.Failures) != 0 {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

func TestWhatCannotBeChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := newServer("10/second")
		silent.odd = func(int) (int, error) { return 200, nil }
		r, progress, err := sends(t, t.Context(), config("/", 10, 1, 2*time.Second), silent)
		if !errors.Is(err, ErrUnchecked) || r.Over != nil || r.PerKey[0].AtMost != nil || !strings.Contains(progress, "unchecked") {
			t.Errorf("no header: %v, %+v, %q", err, r, progress)
		}
		var out bytes.Buffer
		c := config("/", 10, 1, time.Second)
		if err := run(t.Context(), c, &http.Client{Transport: newServer("5 per day calendar")}, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "nothing was checked: ") {
			t.Errorf("a calendar: %v", err)
		}
		if c.Limits, _ = bucket.ParseLimits("2 concurrent"); Checkable(c.Limits) == nil || run(t.Context(), c, nil, &out, &out) == nil {
			t.Error("what runs at a time is checked")
		}
	})
}

func TestOtherHostsAreLeftAlone(t *testing.T) {
	c := config("/", 1, 1, time.Second)
	c.Target.Host = "192.0.2.1:80"
	if err := Run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "192.0.2.1:80 is another host") {
		t.Error(err)
	}
	server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	defer server.Close()
	if a, err := ask(t.Context(), newClient(false), server.URL); err != nil || a.status != http.StatusFound {
		t.Errorf("a redirect: %+v, %v", a, err)
	}
}

func TestParsePolicy(t *testing.T) {
	for header, want := range map[string]string{
		`"20 per 1 second burst 40";q=20;w=1`:         "20 per 1 second burst 40",
		`"a;b,c";q=5;w=60, "100 per 1 hour";q=1;w=1`:  "5 per 1 minute|100 per 1 hour",
		`3;w=60, 100;w=3600`:                          "3 per 1 minute|100 per 1 hour",
		`"daily" ; q=7 ; w=86400;pk=:cHsdsRa894==:`:   "7 per 1 day",
		`"2 concurrent";q=2;qu="concurrent-requests"`: "2 concurrent",
		`"x";q=2`:      "",
		`"x";q=-2;w=1`: "",
		`x`:            "",
		``:             "",
	} {
		limits, err := parsePolicy(header)
		var got []string
		for _, l := range limits {
			got = append(got, l.String())
		}
		if (err != nil) != (want == "") || err == nil && strings.Join(got, "|") != want {
			t.Errorf("%s: %q, %v; want %q", header, got, err, want)
		}
	}
}
