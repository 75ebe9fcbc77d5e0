package test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// answer is one call of Take that has returned.
type answer struct {
	bucket.Decision
	from *replica
	key  string
	cost int64
	sent time.Time
	took time.Duration
	err  error
}

// traffic is a steady stream of hits.
type traffic struct {
	fleet   *fleet
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	mu      sync.Mutex
	answers []answer
}

// question is what a load asks.
type question struct {
	rule    *bucket.Rule
	key     string
	timeout time.Duration // of the call's context; 0 for none
}

// load has each of the replicas ask all the questions every so often, whether or
// not the earlier ones have been answered, until stop.
func (f *fleet) load(every time.Duration, from []*replica, questions ...question) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	l := &traffic{fleet: f, ctx: ctx, cancel: cancel}
	f.Cleanup(l.end)
	for i, r := range from {
		l.wg.Go(func() {
			time.Sleep(every * time.Duration(i) / time.Duration(len(from))) // not in step
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for ctx.Err() == nil {
				for _, q := range questions {
					l.wg.Go(func() { l.ask(r, q) })
				}
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

func (l *traffic) ask(r *replica, q question) {
	ctx := context.Background()
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.timeout)
		defer cancel()
	}
	a := answer{from: r, key: q.key, cost: 1, sent: time.Now()}
	a.Decision, a.err = r.Take(ctx, q.rule, q.key, 1)
	a.took = time.Since(a.sent)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
	if limit := min(hitTimeout, cmp.Or(q.timeout, hitTimeout)); a.took > limit {
		l.fleet.Errorf("%s waited %v for %q; at most %v", r.Name(), a.took, q.key, limit)
	}
}

// end stops the load and waits for the last answers.
func (l *traffic) end() {
	l.cancel()
	l.wg.Wait()
}

// stop ends the load and returns all answers.
func (l *traffic) stop() answers {
	l.end()
	return l.answers
}

type answers []answer

// where returns those that match all of the conditions.
func (as answers) where(conditions ...func(answer) bool) answers {
	return slices.DeleteFunc(slices.Clone(as), func(a answer) bool {
		return slices.ContainsFunc(conditions, func(holds func(answer) bool) bool { return !holds(a) })
	})
}

func failed(a answer) bool   { return a.err != nil }
func degraded(a answer) bool { return a.Degraded }

func about(key string) func(answer) bool { return func(a answer) bool { return a.key == key } }

func from(rs ...*replica) func(answer) bool {
	return func(a answer) bool { return slices.Contains(rs, a.from) }
}

// between matches calls that began and ended in that time.
func between(since, until time.Time) func(answer) bool {
	return func(a answer) bool { return !a.sent.Before(since) && a.sent.Add(a.took).Before(until) }
}

// before matches calls that began before that time.
func before(t time.Time) func(answer) bool {
	return func(a answer) bool { return a.sent.Before(t) }
}

// endedSince matches calls that returned at that time or later.
func endedSince(t time.Time) func(answer) bool {
	return func(a answer) bool { return !a.sent.Add(a.took).Before(t) }
}

func since(t time.Time) func(answer) bool {
	return func(a answer) bool { return !a.sent.Before(t) }
}

// of returns the history of one key under a limit. Calls that failed asked nothing.
func (as answers) of(key string, l bucket.Limit) history {
	h := history{limit: l}
	epoch := time.Time{}
	for _, a := range as {
		if a.key != key || a.err != nil {
			continue
		}
		if epoch.IsZero() {
			epoch = a.sent
		}
		began := int64(a.sent.Sub(epoch))
		h.calls = append(h.calls, call{began, began + int64(a.took), a.cost, a.Allowed, a.Degraded})
	}
	return h
}

// check is checkOver and checkUnder.
func (as answers) check(f *fleet, qs []question, over, under int64) {
	f.Helper()
	as.checkOver(f, qs, over)
	as.checkUnder(f, qs, under)
}

// reserve is what may be missing of a limit near exhaustion while it is leased: what is
// lent, a quarter of the burst, and what comes back while replicas hold back.
func reserve(l bucket.Limit) int64 { return 3*l.Capacity()/10 + 1 }

// checkOver fails the test where more tokens too many passed than over. The questions
// are about token buckets of one limit.
func (as answers) checkOver(f *fleet, qs []question, over int64) {
	f.Helper()
	for _, q := range qs {
		h := as.of(q.key, q.rule.Limits()[0])
		if len(h.calls) == 0 {
			f.Errorf("nothing was asked about %q", q.key)
		}
		if tokens, t := h.over(); tokens > over {
			f.Errorf("%d tokens of %q too many, within %v; at most %d beyond %v may pass", tokens, q.key, t, over, h.limit)
		}
	}
}

// checkUnder fails the test where a refusal lacks more of a reason than under tokens.
// All that was ever asked must be among the answers.
func (as answers) checkUnder(f *fleet, qs []question, under int64) {
	f.Helper()
	for _, q := range qs {
		h := as.of(q.key, q.rule.Limits()[0])
		if tokens, c := h.under(); tokens > under {
			f.Errorf("%q was refused %v after the beginning, for %v, though %d tokens more might have passed of %v; at most %d may be missing",
				q.key, time.Duration(c.began), time.Duration(c.ended-c.began), tokens, h.limit, under)
		}
	}
}

// answered fails the test if calls failed or were decided without the holder, or if
// there were too few to tell anything.
func (as answers) answered(f *fleet, atLeast int) {
	f.Helper()
	if n := len(as.where(failed)); n > 0 {
		f.Errorf("%d calls failed", n)
	}
	if n := len(as.where(degraded)); n > 0 {
		f.Errorf("%d of %d answers are degraded: %+v", n, len(as), as.where(degraded)[0])
	}
	if len(as) < atLeast {
		f.Errorf("only %d answers, of %d", len(as), atLeast)
	}
}
