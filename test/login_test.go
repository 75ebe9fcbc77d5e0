package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// login is a service of three replicas that count failed logins alone, by user and by
// address at once. It answers 401 to whoever guesses, after some thought.
type login struct {
	handlers []http.Handler
	guesses  atomic.Int64
}

func newLogin(f *fleet) *login {
	l := &login{}
	byUser, byAddress := bucket.MustRule("login user", "user = 5/minute"), bucket.MustRule("login address", "address = 8/minute")
	for _, r := range f.replicas {
		limit, err := httpmw.New(r.Node, byUser, httpmw.Header("X-User"), httpmw.And(byAddress, httpmw.ClientIP()),
			httpmw.ChargeIf(func(status int, _ http.Header) bool { return status == http.StatusUnauthorized }))
		if err != nil {
			f.Fatal(err)
		}
		l.handlers = append(l.handlers, limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			if r.Header.Get("X-Password") != "right" {
				l.guesses.Add(1)
				w.WriteHeader(http.StatusUnauthorized)
			}
		})))
	}
	return l
}

// try asks the replicas in turn.
func (l *login) try(n int, user, password string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil)
	r.Header.Set("X-User", user)
	r.Header.Set("X-Password", password)
	l.handlers[n%len(l.handlers)].ServeHTTP(w, r)
	return w
}

// However many guess at once, at whichever replica, the limit is all that they
// have; and who knows the password may log in as often as they like.
func TestFailedLoginsAreCountedExactly(t *testing.T) {
	story(t, func(f *fleet) {
		f.start(3)
		f.ready(formTime, f.replicas...)
		l := newLogin(f)
		for n := range 30 {
			if w := l.try(n, "alice", "right"); w.Code != http.StatusOK || w.Header().Get("RateLimit") != `"user";r=5;t=0, "address";r=8;t=0` {
				f.Fatalf("login %d: %d %v", n, w.Code, w.Header())
			}
		}
		var all sync.WaitGroup
		for n := range 60 {
			all.Go(func() { l.try(n, fmt.Sprint("user ", n/3%2), "wrong") })
		}
		all.Wait()
		time.Sleep(denialCap)
		for n := 0; n < 30; n++ { // what a refusal gave back meanwhile
			l.try(n, fmt.Sprint("user ", n/3%2), "wrong")
		}
		if n := l.guesses.Load(); n != 8 {
			f.Errorf("%d guesses from an address that has 8", n)
		}
		if w := l.try(0, "alice", "right"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			f.Errorf("from that address: %d %v", w.Code, w.Header())
		}
		time.Sleep(8 * time.Second) // a token of the address
		if w := l.try(1, "alice", "right"); w.Code != http.StatusOK {
			f.Errorf("8 seconds later: %d %v", w.Code, w.Header())
		}
	})
}
