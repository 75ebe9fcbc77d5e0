package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/httpmw"
)

// memory is a Limiter that can do all that a middleware may ask for. It decides
// in this process, at a time that its owner sets.
type memory struct {
	*local
	mu      sync.Mutex
	running map[string]int64
	lost    error // what Refund returns, having done nothing
}

func newMemory() *memory { return &memory{local: newLocal(), running: map[string]int64{}} }

func (m *memory) Refund(_ context.Context, rule *bucket.Rule, key string, r bucket.Receipt) error {
	if m.lost == nil {
		m.store.Refund(rule, key, r, m.now.Load())
	}
	return m.lost
}

func (m *memory) TakeAll(ctx context.Context, charges []bucket.Charge) ([]bucket.Decision, error) {
	var decisions []bucket.Decision
	all := true
	for _, c := range charges {
		d, err := m.Take(ctx, c.Rule, c.Key, c.Tokens)
		if err != nil {
			return nil, err
		}
		decisions, all = append(decisions, d), all && d.Allowed
	}
	for i, c := range charges {
		if !all {
			m.store.Refund(c.Rule, c.Key, decisions[i].Receipt, m.now.Load())
			decisions[i].Receipt = bucket.Receipt{}
		}
	}
	return decisions, nil
}

func (m *memory) Acquire(_ context.Context, rule *bucket.Rule, key string) (release func(), d bucket.Decision, err error) {
	limit, _ := rule.Concurrent()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[key] >= limit {
		return func() {}, rule.Decision(bucket.Verdict{}), nil
	}
	m.running[key]++
	return func() { m.release(key) }, rule.Decision(bucket.Verdict{Allowed: true, Remaining: limit - m.running[key]}), nil
}

func (m *memory) release(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[key]--
}

func (m *memory) runs(key string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[key]
}

// left says how many tokens key has, under a rule of one limit.
func (m *memory) left(rule *bucket.Rule, key string) int64 {
	return m.store.Peek(rule, key, 0, m.now.Load()).Remaining
}

// failingMemory can't decide.
type failingMemory struct{ *memory }

var errDown = errors.New("down")

func (failingMemory) Take(context.Context, *bucket.Rule, string, int64) (bucket.Decision, error) {
	return bucket.Decision{}, errDown
}

func (failingMemory) TakeAll(context.Context, []bucket.Charge) ([]bucket.Decision, error) {
	return nil, errDown
}

func (failingMemory) Acquire(context.Context, *bucket.Rule, string) (func(), bucket.Decision, error) {
	return nil, bucket.Decision{}, errDown
}

// mustLimit is New for tests that expect a middleware.
func mustLimit(t tester, l httpmw.Limiter, rule *bucket.Rule, key httpmw.KeyFunc, opts ...httpmw.Option) func(http.Handler) http.Handler {
	t.Helper()
	limit, err := httpmw.New(l, rule, key, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return limit
}

// send calls h with a request that has these headers, each name before its value.
func send(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, target, nil), httptest.NewRecorder()
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// wantCodes calls h for each of the targets, by GET, and wants these statuses.
func wantCodes(t *testing.T, h http.Handler, targets []string, codes ...int) {
	t.Helper()
	for i, code := range codes {
		target := targets[min(i, len(targets)-1)]
		if w := call(h, "GET", target); w.Code != code {
			t.Errorf("request %d, %s: got %d, want %d", i, target, w.Code, code)
		}
	}
}
