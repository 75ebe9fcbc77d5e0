package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/cmd/demo/internal/exact"
	"github.com/shoal-dev/shoal/cmd/demo/internal/pace"
)

var errEnding = errors.New("the demo is about to end")

// named is a command about a replica.
type named struct {
	Name string `json:"name"`
}

// orders is the text of a load.
type orders struct {
	Rate    int     `json:"rate"`
	Keys    int     `json:"keys"`
	Skew    float64 `json:"skew"`
	Seconds float64 `json:"seconds"`
	Limit   string  `json:"limit"`
}

// done is the answer to a command.
type done struct {
	Text string `json:"text"`
}

// exclusive carries out one command at a time, and none after the end.
func (d *Dashboard) exclusive(carry func() (string, error)) (any, error) {
	d.commands.Lock()
	defer d.commands.Unlock()
	if d.closed {
		return nil, errEnding
	}
	text, err := carry()
	return done{text}, err
}

func (d *Dashboard) say(kind, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	d.diary.write(d.since(), kind, text)
	return text
}

func (d *Dashboard) add(r *http.Request, _ []byte) (any, error) {
	return d.exclusive(func() (string, error) {
		name, err := d.fleet.Add(context.WithoutCancel(r.Context()))
		if err != nil {
			return "", err
		}
		d.watch.expect(expectation{"join", d.since(), func(s sight) bool { return s.has(name) && s.settled() },
			name + " has joined, and everybody agrees,"})
		return d.say("join", "%s starts", name), nil
	})
}

func (d *Dashboard) stop(_ *http.Request, body []byte) (any, error) {
	var n named
	if err := decode(body, &n); err != nil {
		return nil, err
	}
	return d.exclusive(func() (string, error) {
		if err := d.fleet.Stop(n.Name); err != nil {
			return "", err
		}
		d.watch.expect(expectation{"leave", d.since(), func(s sight) bool { return !s.has(n.Name) && !s.sees(n.Name) },
			n.Name + " has handed over what it counted, and left,"})
		return d.say("leave", "%s leaves", n.Name), nil
	})
}

func (d *Dashboard) kill(_ *http.Request, body []byte) (any, error) {
	var n named
	if err := decode(body, &n); err != nil {
		return nil, err
	}
	return d.exclusive(func() (string, error) {
		uncopied := false
		for _, r := range d.fleet.Replicas() {
			if r.Node.Name() == n.Name {
				uncopied = r.Node.Metrics().Handoff.Uncopied > 0
			}
		}
		if err := d.fleet.Kill(n.Name); err != nil {
			return "", err
		}
		now := d.since()
		if v := d.drive.Load(); v != nil && v.running() {
			v.guarantee.kill(now, v.lately.last(replication.Milliseconds(), now.Milliseconds()), uncopied)
		}
		d.watch.expect(expectation{"crash", now, func(s sight) bool { return !s.sees(n.Name) },
			"the others have given up " + n.Name})
		return d.say("crash", "%s is killed: its sockets are gone, without a farewell", n.Name), nil
	})
}

func (d *Dashboard) split(*http.Request, []byte) (any, error) {
	return d.exclusive(func() (string, error) {
		sides, err := d.fleet.Split()
		if err != nil {
			return "", err
		}
		if v := d.drive.Load(); v != nil && v.running() {
			v.guarantee.split(d.since())
		}
		d.watch.expect(expectation{"split", d.since(), func(s sight) bool { return len(s.wheels) == 2 && s.settled() },
			"each side is a cluster of its own"})
		return d.say("split", "split: %s | %s", strings.Join(sides[0], ", "), strings.Join(sides[1], ", ")), nil
	})
}

func (d *Dashboard) heal(*http.Request, []byte) (any, error) {
	return d.exclusive(func() (string, error) {
		d.fleet.Heal()
		if v := d.drive.Load(); v != nil {
			v.guarantee.heal()
		}
		d.watch.expect(expectation{"heal", d.since(), sight.whole, "all are one cluster again"})
		return d.say("heal", "the split heals"), nil
	})
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
