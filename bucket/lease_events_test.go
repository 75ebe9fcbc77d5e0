package bucket

import "testing"

// What happens to a key beside its hits.

// reset makes the key whole, but for what is lent. Of what was lent elsewhere a store
// knows only that for a while nothing comes back, so not in that while.
func reset(w *world) {
	s := w.site()
	if w.now < w.moved+int64(maxTerm/4*5) {
		return
	}
	if found, ok := s.ResetHeld(&s.held, w.rule, w.digest, w.now+s.ahead); !ok || !found {
		return
	}
	for _, c := range w.checks {
		c.forget()
	}
}

// handOff gives the token away. While it is on its way only those with a lease decide.
// The copy may be received again, much later; not that of a window, as the one who
// receives it would go on with it if a copy says nothing of the one that came next.
func handOff(w *world) {
	from, to := w.site(), w.stores[1-w.home]
	from.held.Store(0)
	copied, _ := from.AppendCopy(nil, partitionOf(w.digest.Hi), w.now+from.ahead)
	w.copies = append(w.copies, copied)
	w.onTheWay()
	w.receive(to, copied)
	if w.rule.terms[0].windowed() {
		from.Drop(partitionOf(w.digest.Hi))
	} else if w.rng.IntN(2) == 0 {
		w.receive(w.stores[w.rng.IntN(2)], w.copies[w.rng.IntN(len(w.copies))])
	}
	to.held.Store(w.now + to.ahead)
	w.home, w.moved = 1-w.home, w.now
}

// crash has the standby go on from what it was sent until the last moment: all that
// has changed since it had everything.
func crash(w *world) {
	from, to := w.site(), newSite(w.rng)
	copied, _ := from.AppendCopy(nil, partitionOf(w.digest.Hi), w.now+from.ahead)
	from.Changes(shardOf(w.digest), w.now+from.ahead, anyPartition, func(int, []byte) {})
	w.receive(to, copied)
	for range w.rng.IntN(8) {
		w.pass()
		w.hit(w.amount())
		w.ask(w.anyPeer(), 0, 0, w.amount())
		w.hear(len(w.asks) - 1)
		w.deliver()
		w.site().Sweep(w.now+from.ahead, 1<<20)
		from.Changes(shardOf(w.digest), w.now+from.ahead, anyPartition, func(_ int, changes []byte) { w.receive(to, changes) })
	}
	from.held.Store(0)
	w.onTheWay()
	to.held.Store(w.now + to.ahead)
	w.stores[w.home], w.moved = to, w.now
}

// onTheWay is a while in which nobody has the token.
func (w *world) onTheWay() {
	for range w.rng.IntN(3) {
		w.pass()
		p := w.anyPeer()
		w.spend(p, p.tokens)
		w.deliver()
	}
}

func (w *world) receive(s *site, copied []byte) {
	if err := s.Merge(partitionOf(w.digest.Hi), copied, w.now+s.ahead); err != nil {
		w.fault = err.Error()
	}
}

// sweepAll drops what says nothing any more.
func sweepAll(w *world) {
	for _, s := range w.stores {
		s.Sweep(w.now+s.ahead, 1<<20)
	}
}

// What is lent is known wherever the state goes, and whatever is done to it.
func TestWhatIsLentIsNeverForgotten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []func(*world)
	}{
		{"reset", []func(*world){reset}},
		{"swept", []func(*world){sweepAll}},
		{"handed off", []func(*world){handOff}},
		{"crashed", []func(*world){crash}},
		{"all", []func(*world){reset, sweepAll, handOff, crash}},
	} {
		for _, algorithm := range []Algorithm{TokenBucket, FixedWindow} {
			t.Run(tt.name+", "+algorithm.String(), func(t *testing.T) {
				t.Parallel()
				n := *leaseWorlds / 3
				violated, admits, first := runWorlds(n, algorithm, sound, tt.events)
				if violated > 0 || admits < 20*n {
					t.Errorf("%d of %d worlds, %d hits: %s", violated, n, admits, first)
				}
			})
		}
	}
}
