// Package handoff moves partitions between replicas without losing what was
// counted and without two replicas counting at a time. It is the protocol alone:
// pure functions of a partition's state and an event, with no clock, lock or I/O.
//
// The right to decide for a partition is a token. At most one living replica
// holds it, and only that one debits. The ring never makes anybody an owner: it
// says where the token should go. So replicas may disagree on who is there as
// much as they like; it costs time, never tokens.
//
// A holder gives the token away by a [Transfer], which carries the state. From
// then on it decides nothing, keeps its copy and repeats the message until it
// hears what became of it. It never takes the token back by itself: not after a time,
// not when the receiver has gone. Whoever receives a token takes it, whatever its
// own table says, unless it is leaving or has promised otherwise.
//
// A token that nobody has, at the first start or after a crash, is made again by
// a [Claim] that everybody in the claimant's view consents to. Each of them must
// see the same view, neither hold the token nor be sending it, and promise by the
// partition's [Version] to refuse older transfers. A change of the view voids the
// claim. So a single wrong suspicion makes no second holder. To claim promises
// nothing by itself: a token that arrives meanwhile is taken.
//
// A replica whose receiver has gone before it answered may have the only complete
// copy, and so may one whose receiver thought it gone meanwhile and doesn't know
// any more what it has taken from it. It is in [Doubt]: it may not leave until it
// holds again or the holder has merged its copy.
//
// A split makes two tokens, one on each side. Nothing special happens afterwards:
// the holder whose table names the other transfers to it, and one that holds
// already merges what comes. Hence all that a message may do to the state itself
// is to be merged into it, and that is always right, for every copy is made of
// hits that were admitted. The caller therefore merges what arrives first and
// asks the [Part] what it means afterwards.
//
// The test of this package is a model checker: it runs these handlers through all
// orders in which messages can be lost, delayed and repeated while replicas
// join, leave, restart and crash, and makes sure that leaving out any rule is
// found.
package handoff

// Boot names one start of a replica. 0 is none.
type Boot uint64

// Version orders the events in the life of a partition: by Counter, then by Boot.
// It is a fence, and never decreases.
type Version struct {
	Counter uint64
	Boot    Boot
}

// After reports whether v is later than w.
func (v Version) After(w Version) bool {
	return v.Counter > w.Counter || v.Counter == w.Counter && v.Boot > w.Boot
}

func later(v, w Version) Version {
	if w.After(v) {
		return w
	}
	return v
}

// State is a replica's relation to the token of a partition.
type State uint8

const (
	// None: somebody else's affair, though there may be a copy here.
	None State = iota
	// Hold: the token is here. Only now may a hit be debited.
	Hold
	// Sending: the token was sent away and its receiver hasn't answered.
	Sending
	// Doubt: whether the token arrived will never be known. The copy here may be
	// the only complete one.
	Doubt
)

// String returns the state's name, in lower case.
func (s State) String() string {
	return [...]string{"none", "hold", "sending", "doubt"}[s&3]
}

// View is what a replica believes of the cluster, the same for all partitions. It
// isn't changed once it is in use.
type View struct {
	Self Boot
	// Members are all boots believed alive, Self and leaving ones included.
	Members []Boot
	// Leaving says that Self is on its way out and takes no more tokens.
	Leaving bool
	// Hash is equal for equal sets of Members, and otherwise different.
	Hash uint64
	// Departed reports whether a boot was a member once and is none now. What it
	// sent before is ignored. nil means that nobody was.
	Departed func(Boot) bool
}

func (v *View) departed(b Boot) bool { return v.Departed != nil && v.Departed(b) }

// Kind says what a Message is.
type Kind uint8

// The messages. Transfer, Copy and Free come with a copy of the partition's
// buckets, which is to be merged before the message is handed to Receive.
const (
	Transfer  Kind = iota + 1 // the token: answered by Ack, Refuse or Unsure
	Claim                     // may I make the token? answered by Free, Held, Busy, Stale or OtherView
	Copy                      // from one in Doubt: answered by CopyAck if its receiver holds
	Ack                       // to Transfer: taken
	Refuse                    // to Transfer: not taken, now or ever; Fence, Leaving
	Free                      // to Claim: yes, and no transfer older than Version will be taken
	Held                      // to Claim: the token is here
	Busy                      // to Claim: the token was here and is on its way
	Stale                     // to Claim: a later one was promised; Fence
	OtherView                 // to Claim: not the same members are seen here
	CopyAck                   // to Copy: merged where the token is
	Unsure                    // to Transfer: whether it was taken isn't known any more
)

// Message is what replicas tell each other of one partition. Each is addressed to
// a boot, never to whoever has its address now.
type Message struct {
	Kind    Kind
	From    Boot
	To      Boot
	Version Version // of the transfer, the claim or the episode of doubt that this is about
	Fence   Version // Refuse, Stale: the version that forbids it
	View    uint64  // Claim: the hash of the claimant's view
	Leaving bool    // Refuse: because the receiver is leaving
}
