package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

var errEnding = errors.New("the demo is about to end")

// named is a command about a replica.
type named struct {
	Name string `json:"name"`
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
