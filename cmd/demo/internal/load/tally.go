package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
)

// tally is what has come of a load so far. It is safe for concurrent use.
type tally struct {
	latency pace.Latency
	keys    int

	mu       sync.Mutex
	limits   string // in words
	bounds   []exact.Bound
	ledger   *exact.Ledger // nil as long as nobody has said what the limit is
	policy   error         // why what the answers say can't be read
	counts   []keyCount
	total    keyCount
	degraded int64
	failures map[string]int64 // by what is wrong
}

type keyCount struct{ sent, admitted, refused int64 }

func newTally(c Config) (*tally, error) {
	t := &tally{keys: c.Keys, counts: make([]keyCount, c.Keys), failures: map[string]int64{}}
	if c.Limits == nil {
		return t, nil
	}
	bs, err := bounds(c.Limits)
	if err != nil {
		return nil, err
	}
	t.check(c.Text, bs)
	return t, nil
}

// check begins to check. t.mu is held, or nobody else has t.
func (t *tally) check(limits string, bs []exact.Bound) {
	t.limits, t.bounds, t.ledger = limits, bs, exact.NewLedger(bs, t.keys)
}

// note is called with every answer.
func (t *tally) note(key int, asked, answered, took time.Duration, a answer, err error) {
	t.latency.Add(took)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ledger == nil && a.policy != "" {
		t.learn(a.policy)
	}
	k := &t.counts[key]
	k.sent++
	t.total.sent++
	if a.degraded {
		t.degraded++
	}
	switch {
	case err != nil:
		t.failures[reason(err)]++
	case a.status == 429:
		k.refused++
		t.total.refused++
	case a.status >= 200 && a.status < 300:
		k.admitted++
		t.total.admitted++
		if t.ledger != nil {
			t.ledger.Admit(key, int64(asked), int64(answered))
		}
	default:
		t.failures[fmt.Sprintf("status %d", a.status)]++
	}
}

// learn reads the limit off an answer.
func (t *tally) learn(policy string) {
	limits, err := parsePolicy(policy)
	if err == nil {
		var bs []exact.Bound
		if bs, err = bounds(limits); err == nil {
			words := ""
			for i, l := range limits {
				if i > 0 {
					words += "; "
				}
				words += l.String()
			}
			t.check(words, bs)
		}
	}
	t.policy = err
}

// reason is an error without what differs from request to request.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "no answer within " + requestTime.String()
		}
		err = u.Err
	}
	return err.Error()
}

// watch writes a line each second, until ctx is done.
func (t *tally) watch(ctx context.Context, began time.Time, w io.Writer) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			fmt.Fprintln(w, t.line(time.Since(began)))
		}
	}
}

func (t *tally) line(elapsed time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	over := "unchecked"
	if t.ledger != nil {
		over = fmt.Sprintf("%d over", t.ledger.Over())
	}
	failed := int64(0)
	for _, n := range t.failures {
		failed += n
	}
	return fmt.Sprintf("%5.1f s  %7d answered  %7d admitted  %7d refused  %5d failed  %s  p99 %s",
		elapsed.Seconds(), t.total.sent, t.total.admitted, t.total.refused, failed, over, millis(t.latency.Quantile(990)))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
