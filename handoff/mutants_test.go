//go:build !race

package handoff

import (
	"testing"
)

// mutant is the protocol without one of its rules.
type mutant struct {
	name  string
	in    string // the scenario in which it fails
	table int    // of the scenario's, under which it fails first
	alter func(*rules)
}

// onReceive puts a distortion around Receive.
func onReceive(distort func(c *check, p *Part, v *View, m Message, receive func(*View, Message) (Message, bool)) (Message, bool)) func(*rules) {
	return func(r *rules) {
		r.receive = func(c *check, p *Part, v *View, m Message) (Message, bool) {
			return distort(c, p, v, m, p.Receive)
		}
	}
}

// onDeparture changes what becomes of a Part in Sending when its receiver departs.
func onDeparture(becomes State) func(*rules) {
	return func(r *rules) {
		r.viewChanged = func(p *Part, v *View) {
			sending := p.state == Sending
			p.ViewChanged(v)
			if sending && p.state == Doubt {
				p.state = becomes
			}
		}
	}
}

func mutants() []mutant {
	type receiver = func(*View, Message) (Message, bool)
	return []mutant{
		// The latest transfer from each sender isn't remembered, so a repetition
		// looks like an old one.
		{"transfers that were taken", "owner of two leaves", 0, onReceive(func(_ *check, p *Part, v *View, m Message, receive receiver) (Message, bool) {
			p.taken, p.forgot = nil, Version{}
			return receive(v, m)
		})},
		// A receiver that has forgotten what it took from one that it thought gone
		// says that it has not taken it.
		{"knowing what was forgotten", "one of three suspects the owner", 12, onReceive(func(_ *check, p *Part, v *View, m Message, receive receiver) (Message, bool) {
			p.forgot = Version{}
			return receive(v, m)
		})},
		// A token that was turned down once may be taken when it comes again.
		{"turning down for ever", "join", 1, func(r *rules) {
			r.decline = func(_ *check, p *Part, v *View, m Message) (Message, bool) {
				if p.state == Hold || !m.Version.After(p.Took(m.From)) || v.departed(m.From) {
					return p.Receive(v, m)
				}
				return Message{Kind: Refuse, From: v.Self, To: m.From, Version: m.Version, Fence: p.version, Leaving: v.Leaving}, true
			}
		}},
		// A transfer is taken although a later version was promised or seen.
		{"the fence on transfers", "join of a third", 17, onReceive(func(_ *check, p *Part, v *View, m Message, receive receiver) (Message, bool) {
			if m.Kind == Transfer {
				fence := p.fence
				p.fence = Version{}
				defer func() { p.fence = later(p.fence, fence) }()
			}
			return receive(v, m)
		})},
		// A claim is answered by Free by whoever neither holds nor sends: no promise
		// is made or kept, and views aren't compared.
		{"promises, Stale and OtherView", "join of a third", 17, onReceive(func(_ *check, p *Part, v *View, m Message, receive receiver) (Message, bool) {
			if m.Kind == Claim && (p.state == None || p.state == Doubt) {
				version, fence, claim := p.version, p.fence, p.claim
				p.version, m.View = Version{}, v.Hash
				defer func() { p.version, p.fence, p.claim = version, fence, claim }()
			}
			return receive(v, m)
		})},
		// A claim goes on when the members change, and those who have gone needn't
		// answer any more.
		{"voiding claims when members change", "two joins, owner leaves", 0, func(r *rules) {
			r.viewChanged = func(p *Part, v *View) {
				claim := p.claim
				p.ViewChanged(v)
				if p.claim = claim; claim != nil {
					p.complete(v)
				}
			}
		}},
		// Consent is given to one who sees other members.
		{"equal views", "one of three suspects the owner", 0, onReceive(func(_ *check, _ *Part, v *View, m Message, receive receiver) (Message, bool) {
			if m.Kind == Claim {
				m.View = v.Hash
			}
			return receive(v, m)
		})},
		// Messages from those who have departed count.
		{"ignoring the departed", "join, owner crashes", 5, func(r *rules) {
			r.deaf = false
			r.receive = func(_ *check, p *Part, v *View, m Message) (Message, bool) {
				all := *v
				all.Departed = nil
				return p.Receive(&all, m)
			}
		}},
		// Only the one who would own the partition without the claimant is asked.
		{"asking all", "join of a third", 5, func(r *rules) {
			r.startClaim = func(c *check, p *Part, v *View) {
				p.StartClaim(v)
				if p.claim == nil {
					return
				}
				heir := c.ownerOf(set(v.Hash) &^ only(v.Self))
				for _, b := range v.Members {
					if b != v.Self && b != heir {
						p.claim.free = append(p.claim.free, b)
					}
				}
				p.complete(v)
			}
		}},
		// A token that was sent once is forgotten.
		{"repeating a transfer until it is answered", "owner of two leaves", 0, func(r *rules) {
			r.sent = func(p *Part, m Message) {
				if m.Kind == Transfer {
					p.state = None
				}
			}
		}},
		// Whoever can't know whether the token arrived thinks that it did.
		{"doubt", "owner and standby leave", 0, onDeparture(None)},
		// Whoever can't know whether the token arrived takes it back.
		{"never taking back", "owner and standby leave", 0, onDeparture(Hold)},
		// One in doubt doesn't send its copy to the holder.
		{"the copy from one in doubt", "two suspect each other", 1, func(r *rules) {
			r.pending = func(p *Part, v *View, to, owner Boot) (Message, bool) {
				m, due := p.Pending(v, to, owner)
				return m, due && m.Kind != Copy
			}
		}},
		// A leaver goes though it holds, sends or is in doubt.
		{"leaving with nothing", "owner of two leaves", 0, func(r *rules) { r.empty = func(*Part) bool { return true } }},
		// A leaver goes though others haven't heard of a newcomer.
		{"leaving when all know whom I know", "join, owner leaves", 4, func(r *rules) { r.alone = true }},
		// One in doubt claims, whoever is named by the table. It outbids the owner,
		// or asks for ever a holder to which it should have sent its copy.
		{"leaving claims to the owner", "owner and standby leave", 10, func(r *rules) {
			r.claims = func(p *Part, self, owner Boot) bool { return owner == self || p.State() == Doubt }
		}},
		// A claimant refuses the token that is on its way to it, because its own
		// claim is later.
		{"taking tokens while claiming", "join", 1, func(r *rules) {
			r.startClaim = func(_ *check, p *Part, v *View) {
				p.StartClaim(v)
				p.fence = p.version
			}
		}},
	}
}

// TestMutants makes sure that the model checker finds every rule that is left out.
func TestMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run("without "+m.name, func(t *testing.T) {
			t.Parallel()
			var failure result
			for _, s := range scenarios() {
				if s.name == m.in {
					failure = m.find(s.bound(2, 3, 1))
				}
			}
			if failure.fault == "" {
				t.Fatalf("nothing was found in %d states of %q", failure.states, m.in)
			}
			t.Logf("%q under table %d, after %d states: %v", m.in, m.table, failure.states, failure)
		})
	}
}

// find returns the shortest failure of m under its table: of safety, or else one
// of the first states from which the cluster doesn't come to rest.
func (m mutant) find(s *scenario) result {
	r := theRules()
	m.alter(&r)
	c := s.under(s.tables()[m.table], r)
	found := c.search(100_000, 500)
	for i, w := range found.samples {
		if found.fault != "" {
			break
		}
		found.fault, found.trace = c.settle(w, uint64(i))
	}
	return found
}
