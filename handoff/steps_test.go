//go:build !race

package handoff

import "fmt"

// step is one thing that can happen next.
type step struct {
	kind   stepKind
	a, b   Boot
	news   news
	event  event
	packet packet
	answer packet
	lost   packet // to make room
}

type stepKind uint8

const (
	happens stepKind = iota
	hears
	exits
	debits
	copies
	releases
	asks
	sends
	receives
	declines
)

func (s step) String() string {
	text := ""
	switch s.kind {
	case happens:
		text = s.event.String()
		if s.event.kind == joins && s.event.by == 0 {
			text += " by " + s.b.name()
		}
	case hears:
		return heard(s.a, s.b, s.news)
	case exits:
		return s.a.name() + " goes"
	case debits:
		return s.a.name() + " debits"
	case copies:
		return s.a.name() + " copies to " + s.b.name()
	case releases:
		return s.a.name() + " releases to " + s.b.name()
	case asks:
		return s.a.name() + " starts a claim"
	case sends:
		text = "sent: " + s.packet.String()
	case receives, declines:
		text = "received: " + s.packet.String()
		if s.kind == declines {
			text = "declined: " + s.packet.String()
		}
		if s.answer.kind != 0 {
			text += ", answer: " + s.answer.kind.name()
		}
	}
	if s.lost.kind != 0 {
		text += fmt.Sprintf(" (lost: %v)", s.lost)
	}
	return text
}

// expand calls visit with all worlds that can follow from w. They are good until
// visit returns.
//
// A message may be lost, delayed and repeated without bound: to receive it doesn't
// take it from the net. It is lost only to make room for another, because what can
// happen without it can happen with it too.
func (c *check) expand(w *world, visit func(step, *world)) {
	for i, e := range c.events {
		if w.done>>i&1 == 0 {
			c.expandEvent(w, i, e, visit)
		}
	}
	for b := Boot(1); b <= boots; b++ {
		if w.at(b).life == alive {
			c.expandBoot(w, b, visit)
			c.expandNews(w, b, visit)
			c.expandSends(w, b, visit)
		}
	}
	for _, p := range w.net[:w.count()] {
		c.expandReceipt(w, p, receives, c.receive, visit)
		if p.kind == Transfer && (!c.scenario.large || *large) { // it multiplies the states
			c.expandReceipt(w, p, declines, c.turnDown, visit)
		}
	}
}

// expandReceipt is what follows when p arrives.
func (c *check) expandReceipt(w *world, p packet, kind stepKind, receive func(*world, packet) packet, visit func(step, *world)) {
	next := *w
	answer := receive(&next, p)
	s := step{kind: kind, packet: p, answer: answer}
	if answer.kind != 0 && !c.idle(&next, answer) {
		c.put(&next, answer, s, visit)
	}
	if next != *w {
		c.sweep(&next)
		visit(s, &next)
	}
}

func (c *check) expandEvent(w *world, i int, e event, visit func(step, *world)) {
	for seed := Boot(1); seed <= boots; seed++ {
		if e.kind == joins && e.by != 0 && seed != e.by {
			continue
		}
		next := *w
		if c.happen(&next, e, seed) {
			next.done |= 1 << i
			c.sweep(&next)
			visit(step{kind: happens, a: e.boot, b: seed, event: e}, &next)
		}
		if e.kind != joins {
			return
		}
	}
}

// expandBoot is what b does by itself.
func (c *check) expandBoot(w *world, b Boot, visit func(step, *world)) {
	n := w.at(b)
	if c.mayExit(w, b) {
		next := *w
		c.exit(&next, b)
		c.sweep(&next)
		visit(step{kind: exits, a: b}, &next)
	}
	if n.state == Hold && int(w.debits) < c.debits {
		next := *w
		d := uint8(1) << w.debits
		next.at(b).data |= set(d)
		next.required |= set(d)
		next.debits++
		visit(step{kind: debits, a: b}, &next)
	}
	if n.version>>3 < stamp(c.versions) {
		c.expandToken(w, b, visit)
	}
}

// expandToken is what b does to the token by itself.
func (c *check) expandToken(w *world, b Boot, visit func(step, *world)) {
	n := w.at(b)
	for to := Boot(1); to <= boots; to++ {
		if c.mayRelease(n, b) && (to == c.owner(n) || c.anywhere && to != b && has(n.members, to)) {
			next := *w
			c.release(next.at(b), b, to)
			visit(step{kind: releases, a: b, b: to}, &next)
		}
	}
	if c.mayClaim(n, b) {
		next := *w
		c.ask(next.at(b), b)
		c.sweep(&next)
		visit(step{kind: asks, a: b}, &next)
	}
}

func (c *check) expandNews(w *world, b Boot, visit func(step, *world)) {
	for other := Boot(1); other <= boots; other++ {
		for _, news := range c.fresh(w, b, other) {
			if news != 0 {
				next := *w
				c.hear(&next, b, other, news)
				c.sweep(&next)
				visit(step{kind: hears, a: b, b: other, news: news}, &next)
			}
		}
	}
}

// expandSends is what b sends, and what a holder copies to a standby. That goes in
// one step, for a copy that comes late only adds to what is there.
func (c *check) expandSends(w *world, b Boot, visit func(step, *world)) {
	for to := Boot(1); to <= boots; to++ {
		n, o := w.at(b), w.at(to)
		if to == b || o.life != alive || !has(n.members, to) {
			continue
		}
		if n.state == Hold && c.standby && n.data&^o.data != 0 {
			next := *w
			next.at(to).data |= n.data
			visit(step{kind: copies, a: b, b: to}, &next)
		}
		if p, due := c.due(w, b, to); due && !w.flies(p) && !c.idle(w, p) {
			next := *w
			c.tell(&next, b, p)
			c.put(&next, p, step{kind: sends, packet: p}, visit)
		}
	}
}

// put visits w with p in flight, once for each message that can be lost for it.
func (c *check) put(w *world, p packet, s step, visit func(step, *world)) {
	if w.flies(p) {
		return
	}
	flying := w.count()
	if flying < c.net {
		next := *w
		next.add(p)
		c.sweep(&next)
		visit(s, &next)
		return
	}
	for i := range flying {
		next := *w
		s.lost = next.net[i]
		next.lose(i)
		next.add(p)
		c.sweep(&next)
		visit(s, &next)
	}
}

// sweep takes messages away that can never again do anything.
func (c *check) sweep(w *world) {
	for i := w.count() - 1; i >= 0; i-- {
		if c.idle(w, w.net[i]) {
			w.lose(i)
		}
	}
}

// idle says whether p has no effect, now and ever: what it depends on only grows.
// The versions of transfers, claims and doubts never come again.
func (c *check) idle(w *world, p packet) bool {
	n := w.at(Boot(p.to))
	if n.life != alive {
		return true
	}
	if c.deaf && has(n.departed, p.from) && w.at(Boot(p.from)).life != alive {
		return true
	}
	switch p.kind {
	case Ack, CopyAck, Unsure:
		return n.sent != p.version
	case Refuse:
		return n.sent != p.version && p.fence <= n.version && (!p.leaving || !has(n.members&^n.leaving, p.from))
	case Free:
		return n.claim != p.version && p.data&^n.data == 0
	case Held, Busy, Stale, OtherView:
		return n.claim != p.version && p.fence <= n.version
	}
	return false
}
