package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
)

// orders is the text of a load.
type orders struct {
	Rate    int     `json:"rate"`
	Keys    int     `json:"keys"`
	Skew    float64 `json:"skew"`
	Seconds float64 `json:"seconds"`
	Limit   string  `json:"limit"`
}

// load begins another load, in place of the one before.
func (d *Dashboard) load(_ *http.Request, body []byte) (any, error) {
	var o orders
	if err := decode(body, &o); err != nil {
		return nil, err
	}
	plan, limit, bound, err := o.parse()
	if err != nil {
		return nil, err
	}
	return d.exclusive(func() (string, error) {
		number := int64(1)
		if last := d.drive.Load(); last != nil {
			number = last.number + 1
			last.cancel()
		}
		v, err := newDrive(number, plan, limit, bound, d.since())
		if err != nil {
			return "", err
		}
		for _, r := range d.fleet.Replicas() {
			if r.Side > 0 {
				v.guarantee.split(d.since())
			}
		}
		ctx, cancel := context.WithCancel(d.ctx)
		v.cancel = cancel
		d.drive.Store(v)
		d.wg.Go(func() {
			defer cancel()
			d.drives(ctx, v)
			d.say("load", "load %d is over: %d sent, %d admitted, %d over the limit", v.number, v.sent.Load(), v.admitted.Load(), v.ledger.Over())
		})
		return d.say("load", "load %d: %d/s over %s, limit %v each", number, plan.Rate, count(plan.Keys, "key"), limit), nil
	})
}

func (d *Dashboard) end(*http.Request, []byte) (any, error) {
	return d.exclusive(func() (string, error) {
		v := d.drive.Load()
		if v == nil || !v.running() {
			return "", errors.New("no load is being sent")
		}
		v.cancel()
		return "the load ends", nil
	})
}

// maxLimit bounds the numbers of a limit.
const maxLimit = 1_000_000

// parse reads what the panel says; an error names the field.
func (o orders) parse() (p pace.Plan, l bucket.Limit, b exact.Bound, err error) {
	if !(o.Seconds > 0 && o.Seconds <= pace.MaxDuration.Seconds()) {
		return p, l, b, fmt.Errorf("duration %v is not above 0 and up to %v seconds", o.Seconds, pace.MaxDuration.Seconds())
	}
	p = pace.Plan{Rate: o.Rate, Keys: o.Keys, Skew: o.Skew, Duration: time.Duration(o.Seconds * float64(time.Second))}
	if err := p.Check(func(field string) string { return field }); err != nil {
		return p, l, b, err
	}
	limits, err := bucket.ParseLimits(o.Limit)
	switch {
	case err != nil:
		return p, l, b, fmt.Errorf("limit: %w", err)
	case len(limits) != 1:
		return p, l, b, fmt.Errorf("limit: %q has %d limits; the charts have one line", o.Limit, len(limits))
	}
	if l = limits[0]; l.Count > maxLimit || l.Burst > maxLimit {
		return p, l, b, fmt.Errorf("limit: %q is above %d", o.Limit, maxLimit)
	}
	if b, err = exact.BoundOf(l); err != nil {
		return p, l, b, fmt.Errorf("limit: %w", err)
	}
	return p, l, b, nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
