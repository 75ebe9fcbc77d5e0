package httpmw

import (
	"context"
	"math"
	"math/bits"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// settle serves a request that was charged, and gives back what it was charged if
// the response says so. The headers are only set then, and tell of the outcome.
func (m *middleware) settle(w http.ResponseWriter, r *http.Request, next http.Handler, parts []part) {
	response := &response{ResponseWriter: w, status: http.StatusOK}
	response.commit = func(status int) {
		if !m.chargeIf(status, w.Header()) {
			m.refund(r.Context(), parts)
		}
		tell(w.Header(), parts)
	}
	panics := true
	defer func() {
		if panics {
			response.settle(http.StatusInternalServerError)
		}
	}()
	next.ServeHTTP(response, r)
	panics = false
	response.settle(http.StatusOK)
}

// refund gives back what the parts took. What gets lost on the way is on the
// strict side, and nothing that the response could change.
func (m *middleware) refund(ctx context.Context, parts []part) {
	ctx = context.WithoutCancel(ctx)
	for i := range parts {
		p := &parts[i]
		if p.Decision.Receipt.Tokens() == 0 {
			continue
		}
		quietly(func() {
			if err := m.refunder.Refund(ctx, p.Rule, p.Key, p.Decision.Receipt); err == nil {
				p.Decision = credited(p.Decision, p.tokens)
			}
		})
	}
}

// credited is what d would say if so many tokens hadn't been taken, as far as that
// can be told here: a sliding window may be whole sooner. It is about the limit that
// d names.
func credited(d bucket.Decision, tokens int64) bucket.Decision {
	capacity := d.Limit.Capacity()
	d.Receipt = bucket.Receipt{}
	if tokens >= capacity-d.Remaining {
		d.Remaining, d.ResetAfter = capacity, 0
		return d
	}
	d.Remaining += tokens
	if a := d.Limit.Algorithm; a == bucket.TokenBucket || a == bucket.LeakyBucket {
		d.ResetAfter -= min(d.ResetAfter, timeOf(d.Limit, tokens))
	}
	return d
}

// timeOf is how long a bucket takes to get so many tokens, rounded down.
func timeOf(l bucket.Limit, tokens int64) time.Duration {
	hi, lo := bits.Mul64(uint64(tokens), uint64(l.Per))
	if hi >= uint64(l.Count) {
		return math.MaxInt64
	}
	t, _ := bits.Div64(hi, lo, uint64(l.Count))
	return time.Duration(min(t, math.MaxInt64))
}
