package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// slowly is what the text on kinds of limits asks for and its snippet can't do: at most
// so many requests of a client at a time.
func slowly(r *replica) http.Handler {
	limit := r.limit("slow", "2 concurrent", client())
	mux := http.NewServeMux()
	mux.Handle("/quick", limit(text("done")))
	mux.Handle("/slow", limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(10 * time.Second):
			fmt.Fprint(w, "done")
		case <-r.Context().Done():
		}
	})))
	return mux
}

// pending is a request under way.
type pending struct {
	by     *replica // who answers it
	hangUp context.CancelFunc
	answer chan *httptest.ResponseRecorder
}

// begin sends GET /slow, and gives it time to be counted.
func (s *site) begin() pending {
	ctx, cancel := context.WithCancel(s.Context())
	s.Cleanup(cancel)
	s.mu.Lock()
	c := pending{s.replicas[s.next%len(s.replicas)], cancel, make(chan *httptest.ResponseRecorder, 1)}
	s.mu.Unlock()
	go func() {
		r := httptest.NewRequest("GET", "/slow", nil).WithContext(ctx)
		r.RemoteAddr = clientAddress + ":50000"
		w := httptest.NewRecorder()
		s.balancer.ServeHTTP(w, r)
		c.answer <- w
	}()
	time.Sleep(50 * time.Millisecond)
	return c
}

// done checks that the answer is the whole one.
func (s *site) done(c pending) {
	s.Helper()
	if w := <-c.answer; w.Code != 200 || w.Body.String() != "done" {
		s.Errorf("a slow request got %d %q", w.Code, w.Body)
	}
}

func TestSeedConcurrency(t *testing.T) {
	const full = "RateLimit: \"2 concurrent\";r=0\nRateLimit-Policy: \"2 concurrent\";q=2;qu=\"concurrent-requests\"\nRetry-After:"
	story(t, func(f *fleet) {
		s := f.open(slowly)
		first, second := s.begin(), s.begin()
		s.play([]step{
			{time.Second, "6 GET /quick", 429, "", full},
			{time.Second, "6 GET /quick as 203.0.113.2", 200, "done", ""},
		})
		first.hangUp()
		s.play([]step{{1100 * time.Millisecond, "GET /quick", 200, "done", ""}})
		third := s.begin() // has the place of the first
		s.play([]step{{2 * time.Second, "6 GET /quick", 429, "", full}})
		s.done(second)
		s.play([]step{{10500 * time.Millisecond, "GET /quick", 200, "done", ""}})
		s.done(third)
	})
}

// A replica that dies while it has a request under way holds its place no longer than
// it takes to be missed.
func TestSeedConcurrencyLosesAReplica(t *testing.T) {
	story(t, func(f *fleet) {
		s := f.open(slowly)
		lost, other := s.begin(), s.begin()
		s.play([]step{{time.Second, "6 GET /quick", 429, "", ""}})
		s.lose(lost.by)
		lost.hangUp() // with its machine
		s.play([]step{{time.Second + slotTime, "GET /quick", 200, "done", ""}})
		third := s.begin()
		s.play([]step{{6 * time.Second, "4 GET /quick", 429, "", ""}})
		s.done(other)
		s.play([]step{{11 * time.Second, "GET /quick", 200, "done", ""}})
		s.done(third)
	})
}
