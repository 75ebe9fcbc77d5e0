package bucket

import (
	"math"
	"time"
)

// Never is the RetryAfter of a request that can't pass however long it waits:
// one that costs more than the limit's capacity, or meets a limit of 0.
const Never = time.Duration(math.MaxInt64)

// Decision is the answer to one request.
type Decision struct {
	// Allowed says that the request may go on; its tokens have been taken from
	// every limit of the rule. A refused request takes nothing from any, and one
	// from the rule's penalties.
	Allowed bool
	// Limit is the limit or penalty that refused, the one with the longest wait
	// where several did, or else the limit nearest to refusing.
	Limit Limit
	// Remaining is the number of whole tokens left in Limit.
	Remaining int64
	// RetryAfter is the earliest time at which the same request can pass, if
	// nobody else takes the tokens meanwhile: exact to the nanosecond, 0 when
	// it was allowed, Never when no wait is long enough.
	RetryAfter time.Duration
	// ResetAfter is the time until Limit is whole again.
	ResetAfter time.Duration
	// Delay is how long an allowed request should wait before it goes on, for its
	// turn in the queue of a LeakyBucket. 0 under other limits.
	Delay time.Duration
	// Degraded says that the decision was not made by the holder of the key's
	// state, but by the rule's FailurePolicy.
	Degraded bool
	// WouldRefuse says that the rule is in Shadow mode and let pass what it would
	// have refused: Limit, Remaining and RetryAfter are what it would have said.
	WouldRefuse bool
	// Receipt is for Store.Refund, where tokens were taken.
	Receipt Receipt
}

// Verdict is a Decision in the form that travels between replicas: it names
// its limit by the place in the rule.
type Verdict struct {
	Allowed    bool
	Degraded   bool
	Leased     bool  // others than the holder of the state have tokens of the key; it doesn't travel
	Limit      uint8 // place in the rule
	Remaining  int64
	RetryAfter time.Duration
	ResetAfter time.Duration
	Delay      time.Duration
	Receipt    Receipt
}

// Decision returns the verdict in the words of the rule that was asked about,
// and as its mode of this moment has it: in Shadow it allows everything, and in
// Off it says that everything is left, whatever the verdict.
// A place that the rule doesn't have, which only a faulty peer can name, is
// read as the first.
func (r *Rule) Decision(v Verdict) (d Decision) {
	r.Word(&d, &v)
	return d
}

// Word is Decision without copying either: it writes all of d, which must be zero.
func (r *Rule) Word(d *Decision, v *Verdict) {
	mode := r.Mode()
	if mode == Off {
		*d = r.off()
		return
	}
	place := int(v.Limit)
	if place >= len(r.limits) {
		place = 0
	}
	d.Allowed, d.Degraded = v.Allowed, v.Degraded
	d.Limit, d.Remaining = r.limits[place], v.Remaining
	d.RetryAfter, d.ResetAfter, d.Delay = v.RetryAfter, v.ResetAfter, v.Delay
	// Field by field: the processor waits for a copy of what has just been written in
	// other pieces.
	to, from := &d.Receipt, &v.Receipt
	to.at, to.tokens, to.store, to.rule, to.owed = from.at, from.tokens, from.store, from.rule, from.owed
	if mode == Shadow {
		d.Allowed, d.WouldRefuse, d.Delay = true, !v.Allowed, 0
	}
}
