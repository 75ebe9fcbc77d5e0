//go:build !race

package handoff

import "fmt"

// news is what a boot can hear of another.
type news uint8

const (
	isThere news = iota + 1
	isLeaving
	hasGone
	isThereAfterAll // it was suspected falsely
)

// fresh are the news of other that b could hear now. Gossip reaches each boot
// separately and in any order.
func (c *check) fresh(w *world, b, other Boot) (all [2]news) {
	n, o := w.at(b), w.at(other)
	if b == other || n.life != alive || o.life == unborn {
		return all
	}
	gone := o.life == left || o.life == crashed
	switch {
	case gone && !has(n.departed, other) && (o.life == left || c.joinsKnown(w)):
		all[0] = hasGone
		if !has(n.members, other) {
			all[1] = isThere // late
		}
	case !gone && has(n.departed, other) && !c.superseded(n, other):
		all[0] = isThereAfterAll
	case !has(n.known(), other):
		all[0] = isThere
	case !gone && has(o.leaving, other) && has(n.members&^n.leaving, other):
		all[0] = isLeaving
	}
	return all
}

// joinsKnown says whether all living know of all joins. It is assumed to be so
// before a crash is noticed, which takes ten times as long; otherwise the two
// together are a split.
func (c *check) joinsKnown(w *world) bool {
	known := set(0xff)
	born := set(0)
	for b := Boot(1); b <= boots; b++ {
		n := w.at(b)
		if n.life != unborn {
			born |= only(b)
		}
		if n.life == alive {
			known &= n.known()
		}
	}
	return born&^known == 0
}

// superseded says whether n knows of a later start of the same replica.
func (c *check) superseded(n *node, b Boot) bool {
	return b == c.again && has(n.members, bootD)
}

// hear makes b know news of other.
func (c *check) hear(w *world, b, other Boot, news news) {
	n := w.at(b)
	before := n.members
	switch news {
	case isLeaving:
		n.leaving |= only(other)
	case hasGone:
		n.members, n.departed = n.members&^only(other), n.departed|only(other)
	case isThere, isThereAfterAll:
		c.meet(n, other)
	}
	n.leaving &= n.members
	if n.members != before {
		c.changed(w, b)
	}
}

// meet adds a boot to n's members, instead of an earlier one of the same replica.
func (c *check) meet(n *node, b Boot) {
	if c.superseded(n, b) || b == c.again && has(n.departed, bootD) {
		n.departed |= only(b)
		return
	}
	n.members, n.departed = n.members|only(b), n.departed&^only(b)
	if b == bootD {
		n.members, n.departed = n.members&^only(c.again), n.departed|only(c.again)
	}
}

// event is something that happens once in a scenario, at any time.
type event struct {
	kind eventKind
	boot Boot
	by   Boot // joins: the seed, 0 for any; suspects and forces: whom
}

type eventKind uint8

const (
	joins eventKind = iota
	leaves
	crashes
	suspects
	pauses
	forces
)

func (e event) String() string {
	s := e.boot.name() + " " + [...]string{"joins", "leaves", "crashes", "suspects", "stood still", "does without"}[e.kind]
	if e.by != 0 {
		s += " " + map[eventKind]string{joins: "by ", suspects: "", forces: ""}[e.kind] + e.by.name()
	}
	return s
}

// happen lets e happen in w, by a seed if it needs one, and reports whether it can.
func (c *check) happen(w *world, e event, seed Boot) bool {
	n := w.at(e.boot)
	if (n.life == alive) == (e.kind == joins) || e.kind == joins && n.life != unborn {
		return false
	}
	switch e.kind {
	case joins:
		return c.join(w, e.boot, seed)
	case leaves:
		n.leaving |= only(e.boot)
	case crashes:
		c.crash(w, e.boot)
	case suspects:
		if w.at(e.by).life != alive || !has(n.members, e.by) {
			return false
		}
		c.hear(w, e.boot, e.by, hasGone)
	case forces:
		part := c.load(n)
		forced := part.Force(c.view(e.boot, n), e.by)
		n.save(part)
		return forced
	case pauses:
		part := c.load(n)
		part.Doubt()
		n.save(part)
	}
	return true
}

// join lets b start: it sees whom its seed sees, and the seed sees it. Of those who
// departed earlier it may hear late, as if they were still there.
func (c *check) join(w *world, b, seed Boot) bool {
	if seed == b || w.at(seed).life != alive || b == bootD && w.at(c.again).life == alive {
		return false
	}
	s, n := w.at(seed), w.at(b)
	c.meet(s, b)
	s.leaving &= s.members
	*n = node{life: alive, members: s.members, leaving: s.leaving}
	c.changed(w, seed)
	return true
}

// crash lets b be gone. What nobody has got of it who will stay is lost: so much is
// allowed.
func (c *check) crash(w *world, b Boot) {
	*w.at(b) = node{life: crashed}
	saved := set(0)
	for other := Boot(1); other <= boots; other++ {
		if n := w.at(other); n.life == alive && !c.willLeave(other) {
			saved |= n.data
		}
	}
	w.required &= saved
}

func (s *scenario) willLeave(b Boot) bool {
	for _, e := range s.events {
		if e.kind == leaves && e.boot == b {
			return true
		}
	}
	return false
}

// exit lets a leaver go.
func (c *check) exit(w *world, b Boot) { *w.at(b) = node{life: left} }

func (n news) String() string {
	return [...]string{"", "is there", "is leaving", "has gone", "is there after all"}[n]
}

func heard(b, other Boot, n news) string {
	return fmt.Sprintf("%s hears that %s %v", b.name(), other.name(), n)
}
