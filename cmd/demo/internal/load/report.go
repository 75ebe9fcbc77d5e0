package load

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
)

// shownKeys is how many keys the text has; JSON has all.
const shownKeys = 20

// report is the end of a load.
type report struct {
	Target   string           `json:"target"`
	Limit    string           `json:"limit"` // in words; "" if nobody has said it
	Rate     int              `json:"rate"`
	Keys     int              `json:"keys"`
	Skew     float64          `json:"skew"`
	Seconds  float64          `json:"seconds"`
	Answered int64            `json:"answered"`
	Admitted int64            `json:"admitted"`
	Refused  int64            `json:"refused"`
	Degraded int64            `json:"degraded"`
	Dropped  int64            `json:"dropped"` // due, and not sent, as too many were under way
	Failures map[string]int64 `json:"failures"`
	Over     *int64           `json:"over"` // admitted over the limit; null if it isn't known
	Latency  latency          `json:"latency_ms"`
	PerKey   []keyReport      `json:"per_key"`

	policy error
}

// latency is in milliseconds, from when a request was due.
type latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

type keyReport struct {
	Key      string `json:"key"`
	Answered int64  `json:"answered"`
	Admitted int64  `json:"admitted"`
	Refused  int64  `json:"refused"`
	AtMost   *int64 `json:"at_most"` // what the limit allows in all of the time; null if it isn't known
	Over     *int64 `json:"over"`
}

func (t *tally) report(c Config, elapsed time.Duration, dropped int64) report {
	t.mu.Lock()
	defer t.mu.Unlock()
	quantile := func(permille int64) float64 { return float64(t.latency.Quantile(permille).Microseconds()) / 1000 }
	r := report{
		Target: strings.TrimSuffix(c.Target.String(), "/") + c.Route, Limit: t.limits,
		Rate: c.Rate, Keys: c.Keys, Skew: c.Skew, Seconds: elapsed.Seconds(),
		Answered: t.total.sent, Admitted: t.total.admitted, Refused: t.total.refused,
		Degraded: t.degraded, Dropped: dropped, Failures: t.failures,
		Latency: latency{quantile(500), quantile(900), quantile(990), quantile(999), quantile(1000)},
		policy:  t.policy,
	}
	if t.ledger != nil {
		over := t.ledger.Over()
		r.Over = &over
	}
	for i, k := range t.counts {
		one := keyReport{Key: keyName(i), Answered: k.sent, Admitted: k.admitted, Refused: k.refused}
		if t.ledger != nil {
			most, over := atMost(t.bounds, elapsed), t.ledger.Key(i)
			one.AtMost, one.Over = &most, &over
		}
		r.PerKey = append(r.PerKey, one)
	}
	return r
}

// atMost is how much of a key may pass in a time.
func atMost(bs []exact.Bound, t time.Duration) int64 {
	var most []int64
	for _, b := range bs {
		most = append(most, b.Burst+int64(t.Seconds()*float64(b.Count)/b.Per.Seconds()))
	}
	return slices.Min(most)
}

func (r report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d/s for %.1f s, keys: %d\n", r.Target, r.Rate, r.Seconds, r.Keys)
	fmt.Fprintf(&b, "answered %d: %d admitted, %d refused, %d without the key's owner\n", r.Answered, r.Admitted, r.Refused, r.Degraded)
	for _, what := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(&b, "failed %d: %s\n", r.Failures[what], what)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "not sent %d: too many were under way\n", r.Dropped)
	}
	fmt.Fprintf(&b, "latency from when a request was due: p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f ms\n",
		r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.P999, r.Latency.Max)
	if r.Over != nil {
		r.table(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r report) table(b *strings.Builder) {
	fmt.Fprintf(b, "\nlimit %s for each key\n%-14s %9s %9s %9s %9s %6s\n", r.Limit, "key", "answered", "refused", "admitted", "at most", "over")
	keys := slices.Clone(r.PerKey)
	slices.SortStableFunc(keys, func(a, b keyReport) int { return int(*b.Over - *a.Over) })
	for i, k := range keys {
		if i == shownKeys {
			fmt.Fprintf(b, "and %d more keys\n", len(keys)-i)
			break
		}
		fmt.Fprintf(b, "%-14s %9d %9d %9d %9d %6d\n", k.Key, k.Answered, k.Refused, k.Admitted, *k.AtMost, *k.Over)
	}
	fmt.Fprintf(b, "\nadmitted over the limit: %d\n", *r.Over)
}

// verdict is what to tell whoever waits for the exit code.
func (r report) verdict() error {
	failed := int64(0)
	for _, n := range r.Failures {
		failed += n
	}
	switch {
	case r.Answered > 0 && failed == r.Answered:
		return fmt.Errorf("no request to %s succeeded: %s", r.Target, slices.Sorted(maps.Keys(r.Failures))[0])
	case r.Over == nil && r.policy != nil:
		return fmt.Errorf("nothing was checked: %w", r.policy)
	case r.Over == nil && r.Answered > 0:
		return ErrUnchecked
	case r.Over != nil && *r.Over > 0:
		return fmt.Errorf("%w: %d", ErrOver, *r.Over)
	}
	return nil
}
