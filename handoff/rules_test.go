//go:build !race

package handoff

// rules is what the model calls: the handlers of this package, and the few rules
// that the executor keeps. A mutant replaces one of them.
type rules struct {
	receive func(c *check, p *Part, v *View, m Message) (Message, bool)
	// decline is receive where the receiver finds the sender unlikely.
	decline     func(c *check, p *Part, v *View, m Message) (Message, bool)
	viewChanged func(p *Part, v *View)
	startClaim  func(c *check, p *Part, v *View)
	pending     func(p *Part, v *View, to, owner Boot) (Message, bool)
	// sent is called when a message has been sent.
	sent func(p *Part, m Message)
	// claims says whether a boot should ask for the token.
	claims func(p *Part, self, owner Boot) bool
	// empty says whether a leaver may go as far as this partition is concerned.
	empty func(p *Part) bool
	// alone is set if a leaver goes without making sure that others know whom it
	// knows.
	alone bool
	// deaf is unset if messages from departed boots are listened to.
	deaf bool
}

func theRules() rules {
	return rules{
		receive:     func(_ *check, p *Part, v *View, m Message) (Message, bool) { return p.Receive(v, m) },
		decline:     func(_ *check, p *Part, v *View, m Message) (Message, bool) { return p.Decline(v, m) },
		viewChanged: (*Part).ViewChanged,
		startClaim:  func(_ *check, p *Part, v *View) { p.StartClaim(v) },
		pending:     (*Part).Pending,
		sent:        func(*Part, Message) {},
		claims:      func(p *Part, self, owner Boot) bool { return owner == self },
		empty:       func(p *Part) bool { return p.State() == None },
		deaf:        true,
	}
}

// check is a scenario under one table.
type check struct {
	*scenario
	rules
	table table

	views *[boots][2][1 << boots][1 << boots]*View // see view
	// What load fills.
	part  Part
	taken [boots + 1]taken
	claim claim
	free  [boots + 1]Boot
}

// table is the owner of each set of stable ids: any deterministic function.
type table [8]uint8

// tables are all of them. The owner is one of its set, which leaves 2³·3.
func tables() []table {
	var all []table
	for i := range 24 {
		t := table{1: 0, 2: 1, 4: 2}
		t[3], t[5], t[6] = uint8(i&1), uint8(i>>1&1)*2, 1+uint8(i>>2&1)
		t[7] = uint8(i / 8)
		all = append(all, t)
	}
	return all
}

// owner is whom n's table names, 0 for nobody.
func (c *check) owner(n *node) Boot { return c.ownerOf(n.members &^ n.leaving) }

func (c *check) ownerOf(ring set) Boot {
	ids := set(0)
	for b := Boot(1); b <= boots; b++ {
		if has(ring, b) {
			ids |= 1 << c.id(b)
		}
	}
	if ids == 0 {
		return 0
	}
	for b := Boot(boots); b > 0; b-- {
		if has(ring, b) && c.id(b) == c.table[ids] {
			return b
		}
	}
	panic("the table names nobody")
}

// id is the stable id of a boot. D is a new start of another replica.
func (s *scenario) id(b Boot) uint8 {
	if b == bootD {
		return uint8(s.again - 1)
	}
	return uint8(b - 1)
}

// view is what b believes. The hash of a view is its members.
func (c *check) view(b Boot, n *node) *View {
	at := &c.views[b-1][n.leaving>>(b-1)&1][n.members][n.departed]
	if *at != nil {
		return *at
	}
	v := &View{Self: b, Leaving: has(n.leaving, b), Hash: uint64(n.members)}
	departed := n.departed
	v.Departed = func(b Boot) bool { return b != 0 && has(departed, b) }
	for m := Boot(1); m <= boots; m++ {
		if has(n.members, m) {
			v.Members = append(v.Members, m)
		}
	}
	*at = v
	return v
}

// load makes a Part of n. It is good until the next one is loaded.
func (c *check) load(n *node) *Part {
	p := &c.part
	*p = Part{state: n.state, version: n.version.version(), fence: n.fence.version(), forgot: n.forgot.version(), sent: n.sent.version(), to: Boot(n.to), taken: c.taken[:0]}
	for i, v := range n.taken {
		if v != 0 {
			p.taken = append(p.taken, taken{Boot(i + 1), v.version()})
		}
	}
	if n.claim != 0 {
		c.claim = claim{version: n.claim.version(), free: c.free[:0]}
		for b := Boot(1); b <= boots; b++ {
			if has(n.free, b) {
				c.claim.free = append(c.claim.free, b)
			}
		}
		p.claim = &c.claim
	}
	return p
}

// save is the reverse of load. Fields that mean nothing in a state are left out,
// and the hint, by which the handlers decide nothing.
func (n *node) save(p *Part) {
	n.state, n.version, n.sent, n.to = p.state, stampOf(p.version), 0, 0
	n.fence, n.forgot = stampOf(p.fence), stampOf(p.forgot)
	if p.state == Sending || p.state == Doubt {
		n.sent = stampOf(p.sent)
	}
	if p.state == Sending {
		n.to = uint8(p.to)
	}
	n.taken = [boots]stamp{}
	for _, t := range p.taken {
		n.taken[t.from-1] = stampOf(t.version)
	}
	n.claim, n.free = 0, 0
	if p.claim != nil {
		n.claim = stampOf(p.claim.version)
		for _, b := range p.claim.free {
			n.free |= only(b)
		}
	}
}

// The steps of protocol that one boot takes.

// receive hands p to its receiver and returns the answer, which is none if its
// kind is 0. The copy in it is merged first.
func (c *check) receive(w *world, p packet) packet { return c.handle(w, p, c.rules.receive) }

// turnDown hands p to a receiver that finds it unlikely.
func (c *check) turnDown(w *world, p packet) packet { return c.handle(w, p, c.rules.decline) }

func (c *check) handle(w *world, p packet, receive func(c *check, p *Part, v *View, m Message) (Message, bool)) packet {
	b := Boot(p.to)
	n := w.at(b)
	if n.life != alive || c.deaf && has(n.departed, p.from) {
		return packet{}
	}
	n.data |= p.data
	part := c.load(n)
	answer, due := receive(c, part, c.view(b, n), p.message())
	n.save(part)
	if p.kind == Refuse && p.leaving {
		n.leaving |= only(p.from) & n.members // another heir next time
	}
	if !due {
		return packet{}
	}
	return pack(answer, n.data)
}

// due is what b has to tell another now.
func (c *check) due(w *world, b, to Boot) (packet, bool) {
	n := w.at(b)
	if b == to || !has(n.members, to) {
		return packet{}, false
	}
	m, due := c.pending(c.load(n), c.view(b, n), to, c.owner(n))
	if !due {
		return packet{}, false
	}
	return pack(m, n.data), true
}

// tell notes that b has sent p.
func (c *check) tell(w *world, b Boot, p packet) {
	n := w.at(b)
	part := c.load(n)
	c.sent(part, p.message())
	n.save(part)
}

func (c *check) mayRelease(n *node, b Boot) bool {
	owner := c.owner(n)
	return n.state == Hold && owner != b && owner != 0
}

func (c *check) mayClaim(n *node, b Boot) bool {
	return (n.state == None || n.state == Doubt) && n.claim == 0 && !has(n.leaving, b) && c.claims(c.load(n), b, c.owner(n))
}

func (c *check) release(n *node, b, to Boot) {
	part := c.load(n)
	part.Release(c.view(b, n), to)
	n.save(part)
}

func (c *check) ask(n *node, b Boot) {
	part := c.load(n)
	c.startClaim(c, part, c.view(b, n))
	n.save(part)
}

// mayExit is the executor's rule: a leaver goes when it has nothing and everybody
// that it knows has heard of everybody that it knows, or if nobody could take
// anything.
func (c *check) mayExit(w *world, b Boot) bool {
	n := w.at(b)
	switch {
	case n.life != alive || !has(n.leaving, b):
		return false
	case n.members == n.leaving:
		return true
	case !c.empty(c.load(n)):
		return false
	case c.alone:
		return true
	}
	for other := Boot(1); other <= boots; other++ {
		if o := w.at(other); has(n.members, other) && o.life == alive && n.members&^o.known() != 0 {
			return false
		}
	}
	return true
}

// changed tells b's Part that its view has.
func (c *check) changed(w *world, b Boot) {
	n := w.at(b)
	part := c.load(n)
	c.viewChanged(part, c.view(b, n))
	n.save(part)
}
