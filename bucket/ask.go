package bucket

import "time"

// Ask is a hit, a statement about a lease, or both: one message to whoever holds
// the state of a key.
type Ask struct {
	// Tokens is the cost of the hit; 0 is none, only the statement.
	Tokens int64
	// Peer says who asks, by a number that each boot of a replica has of its own.
	Peer uint64
	// Own says that it is the holder of the state itself, which leases as others do
	// while others do, so as to have no advantage over them.
	Own bool
	// Seq numbers the statement, above all that the peer made before about any key.
	// 0 is none: a plain hit.
	Seq uint64
	// Have, Back and Want are the statement: tokens that the peer keeps, that it
	// gives back, and that it would like on top.
	Have, Back, Want int64
}

// Answer is what the holder of the state says to an Ask.
type Answer struct {
	// Verdict is the hit's; of an Ask for 0 tokens, what there is.
	Verdict
	// Seq is the Ask's if it was the latest of that peer and the key may be leased,
	// or else 0, and there is no answer to the statement.
	Seq uint64
	// Keep is how many of the tokens that the peer has live on, and Grant how many it
	// may spend on top.
	Keep, Grant int64
	// Term is how long it may spend them, from when it made the statement: a margin
	// less than they are kept for it.
	Term time.Duration
	// Hold is not 0 if it gets less than it wants because there isn't more: what it
	// hasn't is to be refused, and the next statement made no sooner than Hold after
	// this one. It differs by up to a quarter from peer to peer and from statement to
	// statement, so that they don't come together.
	Hold time.Duration
	// Left is how many tokens are left after the grant.
	Left int64
	// Hot says that it is worth the peer's while to lease the key, or to go on. If
	// not, it should give back what it has.
	Hot bool
}

// LeasePace is how long statements about a lease are apart at least, but for a quarter
// by which they differ: so a key costs each replica 40 of them a second.
const LeasePace = 25 * time.Millisecond

const (
	// A lease is longer than LeasePace by a quarter and more, or it would be over before
	// anybody may ask again.
	maxTerm = 100 * time.Millisecond
	minTerm = 40 * time.Millisecond
	// leastRest is what must be left of a window for tokens to be lent.
	leastRest = 10 * time.Millisecond

	// termShare is which part of the time in which a limit fills a lease may last. With
	// more, what is refused while tokens lie unspent at the holders shows.
	termShare = 8
	// burstShare is which part of the burst may be out: the rest is for large hits and
	// for replicas without a lease.
	burstShare = 4
	// leastGrant tokens are worth a lease, or as few as are wanted.
	leastGrant = 2
	// leastBurst is what a limit must have in store to be lent though it gives back less
	// than leastGrant in a lease's time. One that has less and gives back so little
	// costs its holder few messages in all, while tokens that lie elsewhere when it
	// ends would be missed for long.
	leastBurst = 1024
	// slowReserve is which part of the burst of such a limit isn't lent.
	slowReserve = 8
	// maxWant bounds what a peer can say that it wants, so that sums don't overflow.
	maxWant = 1 << 50
)

// LeaseTerm returns for how long tokens of a key under the rule may be lent: an
// eighth of the time in which the limit that fills first does, but 100 ms at most.
// It is 0 for a rule that isn't leased: where that would be less than 40 ms, where a
// limit is neither a TokenBucket nor a FixedWindow or is 0 or is small and slow, as
// 100/minute, and where there are penalties, which must be felt everywhere at once.
func (r *Rule) LeaseTerm() time.Duration {
	if r.plain < len(r.terms) {
		return 0
	}
	term := maxTerm
	for i := range r.terms {
		switch t := &r.terms[i]; {
		case t.numbers.burst == 0:
			return 0
		case t.algorithm == TokenBucket:
			term = min(term, time.Duration(t.gcra.whole.ns/termShare))
		case t.algorithm == FixedWindow:
			term = min(term, time.Duration(t.window.per/termShare))
		default:
			return 0
		}
	}
	if term < minTerm {
		return 0
	}
	for i := range r.terms {
		if t := &r.terms[i]; t.slow(int64(term)) && t.numbers.burst < leastBurst {
			return 0
		}
	}
	return term
}

// slow says whether a limit gives so little back in a lease's time that nothing should
// lie elsewhere when it ends.
func (t *term) slow(lasts int64) bool {
	return scale(lasts, t.numbers.count, t.numbers.per) < leastGrant
}

// clamp makes sense of any numbers.
func (a *Ask) clamp() {
	a.Have, a.Back, a.Want = max(a.Have, 0), max(a.Back, 0), max(a.Want, 0)
}
