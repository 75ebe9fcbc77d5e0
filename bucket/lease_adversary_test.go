package bucket

// pass lets time go by, often to just where something ends.
func (w *world) pass() {
	term := int64(w.rule.LeaseTerm())
	t := w.rule.terms[w.rng.IntN(len(w.rule.terms))]
	gap := int64(0)
	switch w.rng.IntN(12) {
	case 0:
		gap = w.rng.Int64N(term)
	case 1:
		gap = w.rng.Int64N(2 * term)
	case 2:
		gap = term/4 + w.rng.Int64N(3)
	case 3:
		gap = t.per/t.count + w.rng.Int64N(3)
	case 4, 5:
		gap = w.rng.Int64N(8*min(t.per/t.count, 1<<50) + 2)
	case 6:
		gap = w.peers[w.rng.IntN(len(w.peers))].expires - w.now - w.rng.Int64N(3) + 1
	case 7:
		if l := w.lease(); l != nil {
			gap = l.next - w.site().ahead - w.now - w.rng.Int64N(3) + 1
		}
	case 8:
		if e := w.entry(&t); e != nil {
			gap = e.at - w.site().ahead - w.now - w.rng.Int64N(3) + 1
		}
	}
	w.now += max(0, min(gap, 1<<50))
}

func (w *world) anyPeer() *peer { return w.peers[w.rng.IntN(len(w.peers))] }

func (w *world) amount() int64 {
	burst := w.rule.Capacity()
	switch w.rng.IntN(4) {
	case 0:
		return 1
	case 1:
		return 1 + w.rng.Int64N(burst)
	case 2:
		return 1 + w.rng.Int64N(max(burst/8, 1))
	}
	return burst
}

// free is an adversary without a plan.
func (w *world) free(steps int) {
	for range steps {
		w.pass()
		w.event()
		switch w.rng.IntN(12) {
		case 0, 1:
			w.hit(w.amount())
		case 2:
			w.run(1+w.rng.Int64N(3), w.amount())
		case 3, 4:
			w.spend(w.anyPeer(), w.amount())
		case 5, 6:
			w.ask(w.anyPeer(), w.amount()*w.rng.Int64N(2), w.amount()*w.rng.Int64N(2), w.amount())
		case 7, 8, 9, 10:
			w.deliver()
		case 11:
			w.lose()
		}
	}
}

// event is one of the world's, at times.
func (w *world) event() {
	if n := len(w.events); n > 0 && w.rng.IntN(6) == 0 {
		w.events[w.rng.IntN(n)](w)
	}
}

// deliver delivers any message of all that are on their way, or the newest.
func (w *world) deliver() {
	if n := len(w.asks); n > 0 && w.rng.IntN(2) == 0 {
		w.hear(max(w.rng.IntN(n), w.rng.IntN(n)))
	} else if n := len(w.answers); n > 0 {
		w.apply(max(w.rng.IntN(n), w.rng.IntN(n)))
	}
}

func (w *world) lose() {
	if n := len(w.asks); n > 4 {
		w.asks = append([]sentAsk(nil), w.asks[n/2:]...)
	}
	if n := len(w.answers); n > 4 {
		w.answers = append([]sentAnswer(nil), w.answers[n/2:]...)
	}
}

// grab has peers get what they can at once.
func (w *world) grab(peers []*peer, rounds int) {
	for range rounds {
		for _, p := range peers {
			w.ask(p, 0, 0, w.rule.Capacity())
			if w.rng.IntN(20) > 0 {
				w.hear(len(w.asks) - 1)
			}
			if w.rng.IntN(3) == 0 {
				w.now += w.rng.Int64N(int64(w.rule.LeaseTerm()) / 4)
			}
			if n := len(w.answers); n > 0 && w.rng.IntN(8) > 0 {
				w.apply(n - 1)
			}
		}
	}
}

// whole is a time in which all comes back.
func (w *world) whole() (all int64) {
	for i := range w.rule.terms {
		all = max(all, w.rule.terms[i].per, int64(w.rule.terms[i].gcra.whole.ns))
	}
	return min(all, 1<<56)
}

// drain takes all that there is at the owner.
func (w *world) drain() {
	s := w.site()
	v, ok := s.PeekHeld(&s.held, w.rule, w.digest, 1, w.now+s.ahead, 1)
	for ok && v.Allowed {
		if w.rng.IntN(3) == 0 {
			w.run(1, min(v.Remaining, 1<<60)+2)
		} else {
			w.hit(max(min(v.Remaining, 1<<62)+1-w.rng.Int64N(2), 1))
		}
		v, ok = s.PeekHeld(&s.held, w.rule, w.digest, 1, w.now+s.ahead, 1)
	}
}

// scripted is an adversary who knows how: he waits until all is there, lends what he
// can, and spends it in the last nanosecond, before and after all that came back
// meanwhile has been taken at the owner.
func (w *world) scripted(episodes int) {
	for range episodes {
		switch w.rng.IntN(4) {
		case 0:
			w.now += w.whole()
		case 1:
			w.now += w.rng.Int64N(min(w.rule.terms[0].per, 1<<56) + 1)
		case 2: // shortly before a window ends, if there is one
			w.hit(1)
			if e := w.entry(&w.rule.terms[0]); e != nil {
				w.now = max(w.now, e.at-w.site().ahead-w.rng.Int64N(3*int64(w.rule.LeaseTerm())/2))
			}
		}
		peers := w.peers
		if w.rng.IntN(2) == 0 { // one of them for himself
			i := w.rng.IntN(len(peers))
			peers = peers[i : i+1]
		}
		w.grab(peers, 1+w.rng.IntN(2))
		if w.rng.IntN(2) == 0 {
			w.drain()
		}
		w.renew(w.rng.IntN(3))
		w.event()
		for _, p := range peers {
			if p.tokens > 0 && p.expires > w.now {
				if w.rng.IntN(3) == 0 {
					w.drain()
				}
				w.now = p.expires - 1
				if w.rng.IntN(2) == 0 {
					w.drain()
				}
				w.spend(p, p.tokens)
			}
		}
		if l := w.lease(); l != nil && w.rng.IntN(2) == 0 {
			w.now = max(w.now, l.next-w.site().ahead)
		}
		w.drain()
		for range 3 {
			w.pass()
			w.drain()
		}
		w.lose()
	}
}

// renew has some renew, give back or let go.
func (w *world) renew(rounds int) {
	for range rounds {
		p, burst := w.anyPeer(), w.rule.Capacity()
		w.now += w.rng.Int64N(int64(w.rule.LeaseTerm()))
		w.spend(p, w.amount()*w.rng.Int64N(2))
		w.ask(p, w.rng.Int64N(2)*w.amount(), w.rng.Int64N(2)*burst, w.rng.Int64N(2)*burst)
		for range w.rng.IntN(3) {
			w.deliver()
		}
	}
}
