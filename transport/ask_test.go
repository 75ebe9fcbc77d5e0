package transport_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/transport"
)

// recorder is an owner with a store, which writes down what it decides.
type recorder struct {
	noCalls
	w     *world
	store *bucket.Store

	mu  sync.Mutex
	log []decided
}

type decided struct {
	hit transport.Hit
	now int64
}

func newRecorder(w *world) *recorder {
	return &recorder{w: w, store: bucket.NewStore(bucket.StoreConfig{})}
}

func (r *recorder) Now() int64 { return r.w.now() + int64(time.Hour) }

func (r *recorder) Decide(h *transport.Hit, now int64, a *transport.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, decided{*h, now})
	a.Verdict = r.store.TakeDigest(h.Rule, h.Digest, h.Tokens, now)
}

// rules makes n rules of one to eight limits.
func rules(t testing.TB, rng *rand.Rand, n int) []*bucket.Rule {
	t.Helper()
	rules := make([]*bucket.Rule, n)
	for i := range rules {
		limits := make([]bucket.Limit, 1+i%bucket.MaxLimits)
		for j := range limits {
			limits[j] = bucket.Limit{Count: rng.Int64N(20), Per: time.Duration(1 + rng.Int64N(int64(time.Minute))), Burst: rng.Int64N(30)}
		}
		var err error
		if rules[i], err = bucket.NewRule(fmt.Sprint("rule-", i), limits); err != nil {
			t.Fatal(err)
		}
	}
	return rules
}

// Each caller has keys of its own, so that it knows the order of their hits.
// What it is told must be what a store here says to the same hits at the times
// at which the owner decided them.
func TestVerdictsAreThoseOfAStoreHere(t *testing.T) {
	bubble(t, func(w *world) {
		rng := rand.New(rand.NewPCG(1, 0))
		owner := newRecorder(w)
		w.serve(owner, hello)
		peer := w.dial()
		rules := rules(w, rng, 100)

		type asked struct {
			hit     transport.Hit
			verdict bucket.Verdict
		}
		var mu sync.Mutex
		byKey := map[bucket.Digest][]asked{}
		var wg sync.WaitGroup
		for caller := range 40 {
			rng := rand.New(rand.NewPCG(2, uint64(caller)))
			wg.Go(func() {
				for range 50 {
					rule := rules[rng.IntN(len(rules))]
					h := transport.Hit{
						Digest: bucket.DigestKey{}.Digest(rule, fmt.Sprint(caller, "-", rng.IntN(3))),
						Rule:   rule,
						Tokens: rng.Int64N(6) - 1,
					}
					a, err := ask(peer, h, w.now()+int64(time.Second))
					if err != nil {
						w.Errorf("%v: %v", h, err)
					}
					mu.Lock()
					byKey[h.Digest] = append(byKey[h.Digest], asked{h, a.Verdict})
					mu.Unlock()
					if rng.IntN(2) == 0 {
						time.Sleep(time.Duration(rng.IntN(int(10 * time.Millisecond))))
					}
				}
			})
		}
		wg.Wait()

		oracle := bucket.NewStore(bucket.StoreConfig{})
		var allowed, refused int
		for i, d := range owner.log {
			next := byKey[d.hit.Digest]
			if len(next) == 0 {
				w.Fatalf("decision %d: nobody asked for %v", i, d.hit)
			}
			a := next[0]
			byKey[d.hit.Digest] = next[1:]
			if want := oracle.TakeDigest(a.hit.Rule, a.hit.Digest, a.hit.Tokens, d.now); a.verdict != want {
				w.Fatalf("decision %d, %d tokens of %v: %+v, want %+v", i, a.hit.Tokens, a.hit.Rule, a.verdict, want)
			}
			if a.verdict.Allowed {
				allowed++
			} else {
				refused++
			}
		}
		if len(owner.log) != 40*50 || allowed < 200 || refused < 200 {
			w.Errorf("%d decisions, %d allowed, %d refused: not much of a test", len(owner.log), allowed, refused)
		}
	})
}

// More hits wait than one frame takes, and more rules.
func TestQueueIsSentInOrder(t *testing.T) {
	bubble(t, func(w *world) {
		owner := newRecorder(w)
		w.serve(owner, hello)
		rules := rules(w, rand.New(rand.NewPCG(3, 0)), 100)
		peer := w.dial(dialSlowly(500 * time.Millisecond))
		var wg sync.WaitGroup
		for i := range 2000 {
			h := hit(i)
			if i < 300 {
				h.Rule = rules[i%len(rules)]
			}
			wg.Go(func() {
				if _, err := ask(peer, h, w.now()+int64(time.Second)); err != nil {
					w.Errorf("hit %d: %v", i, err)
				}
			})
			synctest.Wait() // it is queued
		}
		wg.Wait()
		if len(owner.log) != 2000 {
			w.Fatalf("%d decisions", len(owner.log))
		}
		for i, d := range owner.log {
			if d.hit.Digest.Lo != uint64(i) {
				w.Fatalf("decision %d was on hit %d", i, d.hit.Digest.Lo)
			}
		}
	})
}

// An owner has several askers, and answers each with what it asked.
func TestManyPeersOfOneServer(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		var wg sync.WaitGroup
		for i := range 5 {
			peer := w.dial(from(uint64(i + 1)))
			for j := range 20 {
				wg.Go(func() {
					for k := range 10 {
						w.ask(peer, 10_000*i+100*j+k)
					}
				})
			}
		}
		wg.Wait()
	})
}

func TestLoneHitTakesOneRoundTrip(t *testing.T) {
	bubble(t, func(w *world) {
		w.serve(&echo{w: w}, hello)
		peer := w.dial()
		w.ask(peer, 1)
		w.took(roundTrip, 0, func() { w.ask(peer, 2) })
	})
}
