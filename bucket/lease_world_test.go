package bucket

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

var leaseWorlds = flag.Int("worlds", 600, "random worlds of each kind in which leases are tried")

// world is one key, whoever holds its state, replicas that hold leases of it, and a
// network between them that loses, repeats, delays and reorders. Nobody in it is
// honest about what he needs, but all keep to the protocol, unless they are broken on
// purpose.
type world struct {
	rng    *rand.Rand
	rule   *Rule
	digest Digest
	now    int64 // the real time
	seq    uint64
	broken broken

	stores  []*site // at home is where the token is
	home    int
	moved   int64 // when the token came there
	peers   []*peer
	asks    []sentAsk
	answers []sentAnswer
	copies  [][]byte // that may arrive again
	checks  []*checker
	events  []func(*world) // that happen now and then
	admits  int
	fault   string
}

// broken is how peers don't keep to the protocol.
type broken int

const (
	sound      broken = iota
	fromAnswer        // the lease counts from when the answer came
	anyAnswer         // answers to older statements count too
	liveOn            // what has run out lives on, though the owner hasn't said so
	ownersTerm        // the lease is as long as the owner's
)

// site is a store, with a clock and what it knows of its token.
type site struct {
	*Store
	ahead int64
	held  atomic.Int64
}

func newSite(rng *rand.Rand) *site {
	ahead := rng.Int64N(1e10)
	return &site{Store: NewStore(StoreConfig{Epoch: epoch - ahead, Track: true}), ahead: ahead}
}

// peer holds a lease.
type peer struct {
	id      uint64
	drift   int64 // its clock is slow by so many thousandths
	tokens  int64
	expires int64 // real time
	asked   int64
	seq     uint64 // of its latest ask
}

type sentAsk struct {
	from *peer
	at   int64 // when it was made
	Ask
}

type sentAnswer struct {
	to *peer
	at int64 // when it was asked
	Answer
}

func newWorld(seed uint64, rule *Rule, broken broken) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{rng: rng, rule: rule, digest: Digest{rng.Uint64(), rng.Uint64()}, now: 1e9 + rng.Int64N(1e9), broken: broken}
	w.stores = []*site{newSite(rng), newSite(rng)}
	w.stores[0].held.Store(1)
	for i := range 1 + rng.IntN(5) {
		w.peers = append(w.peers, &peer{id: uint64(i + 1), drift: rng.Int64N(41) - 20})
	}
	for _, l := range rule.limits {
		w.checks = append(w.checks, newChecker(l))
	}
	return w
}

func (w *world) admit(n int64) {
	w.admits++
	for _, c := range w.checks {
		c.admit(w.now, n)
	}
}

func (w *world) site() *site { return w.stores[w.home] }

// entry is that of one of the limits.
func (w *world) entry(t *term) *entry {
	return w.site().shard(w.digest).table.find(w.digest.Hi, t.lo(w.digest))
}

// lease is what the owner has lent.
func (w *world) lease() *lease {
	return w.site().lent[shardOf(w.digest)].leases[w.digest.Hi]
}

// see has the checkers look at the windows that the store is in.
func (w *world) see() {
	s := w.site()
	for i, c := range w.checks {
		t := &w.rule.terms[i]
		if e := w.entry(t); e != nil && t.algorithm == FixedWindow {
			end := e.at - s.ahead + 1
			c.window(e.seq, end-t.per, end)
		}
	}
}

// hit is one at the owner itself.
func (w *world) hit(n int64) {
	if w.site().TakeDigest(w.rule, w.digest, n, w.now+w.site().ahead).Allowed {
		w.admit(n)
	}
	w.see()
}

// run is a number of equal hits at the owner at once.
func (w *world) run(n, count int64) {
	s := w.site()
	var r Run
	if !s.TakeRun(&r, &s.held, w.rule, w.digest, n, int(count), w.now+s.ahead, 1) {
		return
	}
	for i := range r.Parts() {
		if count, v := r.Part(i); v.Allowed {
			w.admit(n * int64(count))
		}
	}
	w.see()
}

// spend is a hit at a peer that its lease has tokens for.
func (w *world) spend(p *peer, n int64) {
	if n = min(n, p.tokens); n > 0 && w.now < p.expires {
		p.tokens -= n
		w.admit(n)
		w.see()
	}
}

// ask makes a statement, and sends it.
func (w *world) ask(p *peer, hit, back, want int64) {
	if w.now >= p.expires && w.broken != liveOn {
		back = p.tokens
	}
	back = min(back, p.tokens)
	p.tokens -= back
	w.seq++
	p.seq, p.asked = w.seq, w.now
	w.asks = append(w.asks, sentAsk{p, w.now, Ask{Tokens: hit, Peer: p.id, Own: p.id == 1, Seq: p.seq, Have: p.tokens, Back: back, Want: want}})
}

// hear has the owner answer one of the asks that are on their way.
func (w *world) hear(i int) {
	m := w.asks[i]
	s := w.site()
	if answer, ok := s.AskHeld(&s.held, w.rule, w.digest, m.Ask, w.now+s.ahead, 1); ok {
		if answer.Allowed && m.Tokens > 0 {
			w.admit(m.Tokens)
		}
		w.answers = append(w.answers, sentAnswer{m.from, m.at, answer})
	}
	w.see()
	w.count()
	if w.rng.IntN(20) > 0 { // or else it will be repeated
		w.asks = append(w.asks[:i], w.asks[i+1:]...)
	}
}

// count adds up what the owner has lent, and looks whether he knows of all that can be
// spent; but not of what another owner has lent.
func (w *world) count() {
	l := w.lease()
	for _, p := range w.peers {
		if w.broken != sound || w.moved > 0 || p.tokens == 0 || p.expires <= w.now {
			continue
		}
		if l == nil {
			w.fault = "tokens can be spent, and none are known to be lent"
		} else if i := l.find(p.id, 1); i < 0 || l.holders[i].left < p.tokens {
			w.fault = "more tokens can be spent than are known to be lent"
		}
	}
	if l != nil {
		sum := int64(0)
		for _, h := range l.holders {
			if sum += h.left; h.left < 0 {
				w.fault = "less than nothing is lent"
			}
		}
		if sum != l.out {
			w.fault = "what is lent doesn't add up"
		}
	}
}

// apply has a peer take in an answer.
func (w *world) apply(i int) {
	m := w.answers[i]
	w.answers = append(w.answers[:i], w.answers[i+1:]...)
	p := m.to
	if m.Seq == 0 || m.Seq != p.seq && w.broken != anyAnswer {
		return
	}
	if p.seq == m.Seq {
		p.seq = 0 // it counts once
	}
	if w.broken != liveOn {
		p.tokens = min(p.tokens, m.Keep)
	}
	p.tokens += m.Grant
	term := int64(m.Term)
	if w.broken == ownersTerm {
		term = term / 31 * 32 / 4 * 5
	}
	if w.broken == fromAnswer {
		m.at = w.now
	}
	p.expires = max(p.expires, m.at+term+term*p.drift/1000)
}

// wrong says what is, or "".
func (w *world) wrong() string {
	for _, c := range w.checks {
		if c.excess.Sign() > 0 {
			return fmt.Sprintf("%v too much in units of a token in %v", c.excess, c.limit.Per)
		}
	}
	return w.fault
}

// runWorlds returns in how many of so many worlds more passed than is allowed, and how
// many steps and hits there were.
func runWorlds(n int, algorithm Algorithm, broken broken, events []func(*world)) (violated, admits int, first string) {
	for seed := range uint64(n) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(seed, randomRule(rng, algorithm), broken)
		w.events = events
		if seed%2 == 0 {
			w.free(300)
		} else {
			w.scripted(8)
		}
		admits += w.admits
		if wrong := w.wrong(); wrong != "" {
			if violated++; violated == 1 {
				first = fmt.Sprintf("world %d, under %v: %s", seed, w.rule, wrong)
			}
		}
	}
	return violated, admits, first
}

// Whatever the network and those who hold leases do, no interval and no window sees
// more than the limit.
func TestLeasesNeverAdmitTooMuch(t *testing.T) {
	for _, algorithm := range []Algorithm{TokenBucket, FixedWindow} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			violated, admits, first := runWorlds(*leaseWorlds, algorithm, sound, nil)
			if violated > 0 || admits < 20**leaseWorlds {
				t.Errorf("%d of %d worlds, %d hits: %s", violated, *leaseWorlds, admits, first)
			}
		})
	}
}

// And yet peers who don't keep to the protocol are noticed.
func TestBrokenPeersAreNoticed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		algorithm Algorithm
		broken    broken
	}{
		{"the lease counts from the answer", TokenBucket, fromAnswer},
		{"the lease counts from the answer", FixedWindow, fromAnswer},
		{"any answer counts", TokenBucket, anyAnswer},
		{"what has run out lives on", TokenBucket, liveOn},
		{"the lease is as long as the owner's", TokenBucket, ownersTerm},
		{"the lease is as long as the owner's", FixedWindow, ownersTerm},
	} {
		t.Run(tt.name+", "+tt.algorithm.String(), func(t *testing.T) {
			t.Parallel()
			violated, _, _ := runWorlds(400, tt.algorithm, tt.broken, nil)
			t.Logf("%d of 400 worlds", violated)
			if violated == 0 {
				t.Error("nobody has noticed")
			}
		})
	}
}
