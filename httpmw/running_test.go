package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// slots is a Limiter that counts what runs, in memory.
type slots struct {
	limiterFunc // for rates
	mu          sync.Mutex
	running     map[string]int64
}

func newSlots(t *testing.T) *slots {
	return &slots{limiterFunc: unreached(t), running: map[string]int64{}}
}

func (s *slots) Acquire(_ context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error) {
	limit, _ := rule.Concurrent()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[key] >= limit {
		return func() {}, rule.Decision(bucket.Verdict{}), nil
	}
	s.running[key]++
	left := limit - s.running[key]
	return func() { s.release(key) }, rule.Decision(bucket.Verdict{Allowed: true, Remaining: left}), nil
}

func (s *slots) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[key]--
}

func (s *slots) count(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[key]
}

// Acquirers that always decide alike.
type acquirerFunc func() (func(), bucket.Decision, error)

func (f acquirerFunc) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{}, errors.New("asked by Take")
}

func (f acquirerFunc) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	return f()
}

var twoAtATime = bucket.MustRule("two", "2 concurrent")

func TestNoMoreThanTheLimitRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlots(t)
		h := newLimit(t, l, twoAtATime, everybody)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			w.WriteHeader(http.StatusNoContent)
		}))
		var answers [10]atomic.Pointer[httptest.ResponseRecorder]
		began := time.Now()
		for i := range answers {
			go func() { answers[i].Store(call(h, "GET", "/a")) }()
			synctest.Wait()
		}
		policy := []string{`"2 concurrent";q=2;qu="concurrent-requests"`}
		for i := range answers[2:] { // they had to wait for nothing
			w := answers[2+i].Load()
			checkHeader(t, w.Header(), "Ratelimit-Policy", policy)
			checkHeader(t, w.Header(), "Ratelimit", []string{`"2 concurrent";r=0`})
			checkHeader(t, w.Header(), "Retry-After", nil)
			want := `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
				`"title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,` +
				`"detail":"2 concurrent","instance":"/a","violated-policies":["2 concurrent"]}` + "\n"
			if w.Code != http.StatusTooManyRequests || w.Body.String() != want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		}
		if answers[0].Load() != nil || answers[1].Load() != nil || time.Since(began) != 0 {
			t.Fatalf("the first two have answers after %v", time.Since(began))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, left := range []string{`"2 concurrent";r=1`, `"2 concurrent";r=0`} {
			w := answers[i].Load()
			if w.Code != http.StatusNoContent {
				t.Errorf("request %d got %d", i, w.Code)
			}
			checkHeader(t, w.Header(), "Ratelimit-Policy", policy)
			checkHeader(t, w.Header(), "Ratelimit", []string{left})
		}
		if n := l.count("everybody"); n != 0 {
			t.Errorf("%d still count", n)
		}
	})
}

func checkHeader(t *testing.T, h http.Header, name string, want []string) {
	t.Helper()
	if got := h[name]; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

func TestPanicEndsARequest(t *testing.T) {
	l := newSlots(t)
	h := newLimit(t, l, twoAtATime, everybody)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := l.count("everybody"); n != 1 {
			t.Errorf("%d count while it runs", n)
		}
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("got %v, want the handler's panic", got)
			}
		}()
		call(h, "GET", "/")
	}()
	if n := l.count("everybody"); n != 0 {
		t.Errorf("%d still count", n)
	}
}

// A client that hangs up ends a handler that listens, and with it the slot.
func TestHungUp(t *testing.T) {
	l := newSlots(t)
	arrived := make(chan bool)
	server := httptest.NewServer(newLimit(t, l, bucket.MustRule("one", "1 concurrent"), everybody)(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			arrived <- true
			<-r.Context().Done()
		})))
	defer server.Close() // waits for the handlers
	ctx, hangUp := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		if err == nil {
			_, err = server.Client().Do(r)
		}
		answered <- err
	}()
	<-arrived
	if n := l.count("everybody"); n != 1 {
		t.Errorf("%d count while it runs", n)
	}
	hangUp()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	server.Close()
	if n := l.count("everybody"); n != 0 {
		t.Errorf("%d still count", n)
	}
}

// A handler that goes on after its client has gone still takes what it takes.
func TestHungUpAndIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlots(t)
		h := newLimit(t, l, bucket.MustRule("one", "1 concurrent"), everybody)(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }))
		ctx, hangUp := context.WithCancel(t.Context())
		go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		synctest.Wait()
		hangUp()
		synctest.Wait()
		if w := call(h, "GET", "/"); w.Code != http.StatusTooManyRequests {
			t.Errorf("while the handler runs: %d", w.Code)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := l.count("everybody"); n != 0 {
			t.Errorf("%d still count", n)
		}
	})
}

func TestReleasedOnce(t *testing.T) {
	released := 0
	release := func() { released++ }
	for name, tt := range map[string]struct {
		d        bucket.Decision
		err      error
		deny     bool
		status   int
		released int
	}{
		"allowed":    {d: bucket.Decision{Allowed: true}, status: 200, released: 1},
		"degraded":   {d: bucket.Decision{Degraded: true}, status: 429, released: 1},
		"by Deny":    {d: bucket.Decision{Degraded: true}, deny: true, status: 503, released: 1},
		"in shadow":  {d: bucket.Decision{Allowed: true, WouldRefuse: true}, status: 200, released: 1},
		"no answer":  {err: errors.New("closed"), status: 503},
		"impossible": {d: bucket.Decision{Allowed: true, Delay: time.Hour}, status: 503, released: 1},
	} {
		rule := bucket.MustRule("two", "2 concurrent")
		if tt.deny {
			rule = bucket.MustRule("two", "2 concurrent; policy deny")
		}
		tt.d.Limit, released = rule.Limits()[0], 0
		l := acquirerFunc(func() (func(), bucket.Decision, error) { return release, tt.d, tt.err })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		w := httptest.NewRecorder()
		newLimit(t, l, rule, everybody)(silent()).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		cancel()
		if w.Code != tt.status || released != tt.released || w.Header().Get("Retry-After") != "" {
			t.Errorf("%s: %d %v, released %d times", name, w.Code, w.Header(), released)
		}
	}
}

// Without a key nobody is asked, and nothing runs.
func TestNoKeyNoSlot(t *testing.T) {
	l := acquirerFunc(func() (func(), bucket.Decision, error) {
		t.Error("the limiter was asked")
		return func() {}, bucket.Decision{}, nil
	})
	if w := call(newLimit(t, l, twoAtATime, httpmw.Header("X-User"))(unserved(t)), "GET", "/"); w.Code != http.StatusBadRequest {
		t.Errorf("got %d", w.Code)
	}
}

func TestConcurrencyNeedsAnAcquirer(t *testing.T) {
	limit, err := httpmw.New(newLocal(), twoAtATime, nil)
	if limit != nil || err == nil {
		t.Fatalf("got a middleware: %t, and %v", limit != nil, err)
	}
	for _, word := range []string{`rule "two"`, "no method Acquire", "*cluster.Node", "no key function"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("no %q in %q", word, err)
		}
	}
}
