//go:build !race

package handoff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// continuation goes on from a world without any more events of the scenario, hits
// or losses: each boot acts once in each round, and each message takes the time of
// its link. Within that the order is random, and the same for the same seed. All
// must come to rest.
type continuation struct {
	*check
	w      world
	random *rand.Rand
	delay  [boots + 1][boots + 1]int
	flying []flight
	round  int
	trace  []string
}

// flight is a packet and the round in which it arrives.
type flight struct {
	packet
	at int
}

const rounds = 200

// settle returns what is wrong with where w ends.
func (c *check) settle(w world, seed uint64) (fault string, trace []string) {
	r := continuation{check: c, w: w, random: rand.New(rand.NewPCG(seed, 2))}
	for a := range r.delay {
		for b := range r.delay[a] {
			r.delay[a][b] = 1 + r.random.IntN(4)
		}
	}
	for _, p := range w.net[:w.count()] {
		if r.random.IntN(2) == 0 {
			r.flying = append(r.flying, flight{p, r.random.IntN(20)})
		}
	}
	r.w.net = [maxNet]packet{}
	r.note("from")
	why := ""
	for ; r.round < rounds && !r.tooLong(); r.round++ {
		r.once()
		if fault := c.faults(&r.w); fault != "" {
			return fault, r.trace
		}
		if why = r.unsettled(); why == "" {
			return "", nil
		}
	}
	return fmt.Sprintf("I3: not at rest after %d rounds: %s", r.round, why), r.trace
}

// tooLong says whether claims have outbid each other for as long as the model's
// versions last.
func (r *continuation) tooLong() bool {
	return slices.ContainsFunc(r.w.nodes[:], func(n node) bool { return n.version>>3 >= maxCounter })
}

func (r *continuation) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf("%3d %-48s | %v", r.round, fmt.Sprintf(format, args...), &r.w))
}

// once is one round.
func (r *continuation) once() {
	for i := 0; i < len(r.flying); {
		f := r.flying[i]
		if f.at > r.round {
			i++
			continue
		}
		r.flying = slices.Delete(r.flying, i, i+1)
		answer := r.receive(&r.w, f.packet)
		r.note("received: %v", f.packet)
		if answer.kind != 0 {
			r.send(answer)
		}
	}
	for _, i := range r.random.Perm(boots) {
		if b := Boot(i + 1); r.w.at(b).life == alive {
			r.act(b)
		}
	}
}

func (r *continuation) send(p packet) {
	if !slices.ContainsFunc(r.flying, func(f flight) bool { return f.packet == p }) {
		r.flying = append(r.flying, flight{p, r.round + r.delay[p.from][p.to]})
	}
}

// act is b's part of a round.
func (r *continuation) act(b Boot) {
	n := r.w.at(b)
	for _, i := range r.random.Perm(boots) {
		other := Boot(i + 1)
		if news := r.fresh(&r.w, b, other); news[0] != 0 && r.random.IntN(2) == 0 {
			r.hear(&r.w, b, other, news[0])
			r.note("%s", heard(b, other, news[0]))
		}
	}
	switch {
	case r.mayExit(&r.w, b):
		r.exit(&r.w, b)
		r.note("%s goes", b.name())
		return
	case r.mayRelease(n, b):
		r.release(n, b, r.owner(n))
		r.note("%s releases", b.name())
	case r.mayClaim(n, b):
		r.ask(n, b)
		r.note("%s starts a claim", b.name())
	}
	for to := Boot(1); to <= boots; to++ {
		if p, due := r.due(&r.w, b, to); due {
			r.tell(&r.w, b, p)
			r.send(p)
		}
	}
}

// unsettled says what is missing from a world at rest.
func (r *continuation) unsettled() string {
	w := &r.w
	var wrong []string
	living := set(0)
	for b := Boot(1); b <= boots; b++ {
		if w.at(b).life == alive {
			living |= only(b)
		}
	}
	owner := r.ownerOf(living)
	for b := Boot(1); b <= boots; b++ {
		n := w.at(b)
		switch {
		case n.life != alive:
		case n.leaving != 0:
			wrong = append(wrong, n.leaving.names()+" hasn't left for "+b.name())
		case n.members != living:
			wrong = append(wrong, b.name()+" sees another cluster")
		case n.state == Hold && b != owner, n.state != Hold && b == owner, n.state == Sending, n.state == Doubt:
			wrong = append(wrong, fmt.Sprintf("%s is in %v", b.name(), n.state))
		}
		if n.life == alive && b == owner && w.required&^n.data != 0 {
			wrong = append(wrong, b.name()+" lacks debits")
		}
	}
	return strings.Join(wrong, ", ")
}
