// Package transport carries hits to the replicas that own their keys, and the
// verdicts back.
//
// There is one gRPC stream from each replica to each other, and [Peer] is its
// asking end. A caller queues its hit and waits. Whoever finds the stream free
// sends everything that is queued as one frame, without a timer and without
// waiting for company: under load hits gather while earlier ones are under way,
// so frames grow by themselves and the cost of a hit falls, and an idle stream
// adds no delay. A second frame leaves while one is unanswered only when 64
// hits wait for it.
//
// Frames are records of fixed size behind a header, made and read in place in
// pooled buffers. They are legal protobuf (shoal.proto), so that tools can look
// at them. Every length and index in one is checked: what a peer sends is input.
//
// Nothing here blocks a caller beyond its deadline. The queue is bounded. The
// bytes that were sent and not answered stay below what gRPC takes without
// blocking (its write quota of 64 KiB a stream), so sending never waits for the
// peer. Each hit has a deadline, and one sweeper a peer ends those whose time
// has come, on a timer that is set only while something is outstanding. What is
// sent along is the time that remains; the owner subtracts how long the frame
// was held up on its way and drops what its caller has given up on, before
// debiting it. No clock is ever compared with another replica's.
//
// Equal hits that wait for the same frame are one entry of it with a count: a key costs
// at most one a frame, whatever its rate, and a place in the queue. The owner decides
// them as if one after the other and says how it goes on from the first, so that each
// has the verdict and the receipt that it would have had.
//
// Every hit has a number. One whose stream broke may or may not have been debited;
// it is sent again under its number when the peer is back at once. The owner
// remembers for each asker's boot what it answered to the last 2048 entries, so a
// hit that comes again, by whatever way ([Server.DecideOnce]), has the answer that
// it had and is never debited twice. If the peer isn't back, or is another boot,
// the hit fails with ErrUnavailable.
//
// Heartbeats go along with the hits, four a second while there are any and two
// while there are none. Their answers carry the peer's [Sight] of the cluster. A
// peer that leaves something unanswered for PeerConfig.Silence is not asked any
// more until it says something: hits fail at once, long before gossip could know. A
// stream that stays silent for 2 s is given up and dialled anew, as TCP may wait for
// far longer before it tries again over a link that has been mended.
//
// Whatever is large or may block goes as a bulk call, [Peer.Call], over a second
// connection that is opened for the first of them: one that shares a connection
// with hits would have them wait for its bytes.
//
// [Server] is the answering end. It hands every hit to a [Handler] and knows
// nothing of what decides. The two ends make sure of each other by a [Hello]: the
// name of the cluster, the fingerprint of its digest key, and the boot ids of
// both, so that a process that has got a member's address is not taken for it.
//
// Why it is built like this, with figures: frames of fixed records cost 22 ns a
// hit to encode and decode at both ends, protobuf messages 126 to 458; a channel
// per call is the cheapest way to wake a caller; one stream is better than
// several, as more only split the batches; and the yield of the processor before
// sending is what lets callers that run at the same time share a frame.
package transport

import (
	"context"
	"errors"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// Errors of Ask. None of them says whether the hit was debited, except that
// ErrFull and ErrClosed ones were not.
var (
	// ErrUnavailable: there is no connection to the peer, or it broke.
	ErrUnavailable = errors.New("transport: peer unavailable")
	// ErrDeadline: the hit's time was over before its verdict came.
	ErrDeadline = errors.New("transport: deadline passed")
	// ErrFull: too many hits wait for this peer already.
	ErrFull = errors.New("transport: queue full")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("transport: closed")
	// ErrForgotten: whether the hit was debited before is not known any more, so
	// it was not decided. DecideOnce alone returns it.
	ErrForgotten = errors.New("transport: hit forgotten")
	// ErrPanic: a mistake in this replica, of which its owner was told.
	ErrPanic = errors.New("transport: panic")
	// ErrTooBig: the payload of a call is longer than MaxCall.
	ErrTooBig = errors.New("transport: call too big")
)

// Hit is one question to the owner of a key.
type Hit struct {
	Digest bucket.Digest
	Rule   *bucket.Rule
	Tokens int64
	// Refused says how many hits of the key the asker has refused by itself since it
	// last said so: the penalties of the rule count them before this hit is decided.
	Refused int64
	// Statement is about what the asker was lent of the key. No other hit shares an
	// entry with one that has a statement, or says something of refusals.
	Statement Statement
	// Asker is the boot whose hit this is, where a Handler sees it; 0 if it came by way
	// of another.
	Asker uint64
	// Peek asks what would be decided, and takes nothing.
	Peek bool
	// Whole has the asker not decide it by what it was lent. Ask ignores it.
	Whole bool
	// Orphan says that the hit was sent to another holder of the key's state, which
	// was silent: it may have been debited there.
	Orphan bool
	// Count is how many equal hits this one stands for, where a Handler sees it: they
	// waited for the same frame, and are to be decided as if one after the other.
	// Ask ignores it.
	Count int
}

// Answer is what the owner says to a hit.
type Answer struct {
	Verdict bucket.Verdict
	// Hot says that it is worth the asker's while to be lent some of the key, and Grant
	// answers the hit's statement.
	Hot bool
	// NotHeld says that nothing was debited, as the one who was asked doesn't
	// hold the state of the key. Verdict is zero then.
	NotHeld bool
	// Number is the hit's, among those of its asker's boot to this peer. Ask sets
	// it with an error as well, as the hit may have been debited; it is 0 where the
	// hit was never put in a frame and so was not.
	Number uint64
	// At is when the answer came, on the clock of the one who asked. Ask sets it, unless
	// there is none: then it is 0.
	At int64
	// Hint is, with NotHeld, the boot id of the replica that may hold it, or 0
	// if that is unknown.
	Hint uint64
	// Run is where a Handler writes what is said to each of Count hits, where that is
	// more than one. If it leaves it empty, the Verdict is said to all.
	Run   *bucket.Run
	Grant Grant
}

// Sight is what a replica tells its peers of how it sees the cluster.
type Sight struct {
	View  uint64 // hash of the boots that it sees
	Table uint64 // hash of its table of owners
}

// Handler answers what arrives.
type Handler interface {
	// Now is the handler's monotonic clock, in nanoseconds. It is read once a
	// frame.
	Now() int64
	// Decide decides one hit at the time now, and writes to a, which is zero
	// before. It is called for one hit of each peer at a time, in the order in which
	// that peer asked, must not block nor call DecideOnce, and keeps neither pointer.
	Decide(h *Hit, now int64, a *Answer)
	// Sight goes with the answer to every heartbeat. It must not block.
	Sight() Sight
	// Call answers a bulk call of the boot from. It may block until the context
	// is done, and is called by a goroutine of its own for each call. The payload
	// is valid until Call returns; the answer must be no longer than MaxCall. An
	// error goes to the caller as its text.
	Call(ctx context.Context, from uint64, kind uint8, payload []byte) ([]byte, error)
}

// Doorkeeper is a Handler that says who may ask.
type Doorkeeper interface {
	// Admit is called once for each stream, and for each call, before anything else
	// is read of it, with the boot that its sender says it is and the certificate,
	// in DER, that it has shown; nil if it has none. It may wait until ctx is done,
	// for somebody who isn't known yet. An error goes to the sender as its text.
	Admit(ctx context.Context, from uint64, certificate []byte) error
}

// Hello is how the ends of a connection make sure of each other. Where cluster or
// fingerprint differ, the asker is refused with an error that says which of them.
type Hello struct {
	Cluster     string // the cluster's name
	Fingerprint uint64 // of its digest key
	// Boot is that of the sender, and not 0: who it is, until its process ends.
	// Hits are told apart by it and their numbers: a Peer that asks a Server in
	// its name takes the place of an earlier one.
	Boot uint64
}

// Clock is a monotonic clock, in nanoseconds since an origin of its own.
type Clock func() int64

const (
	maxFrameHits  = 1024
	maxFrameRules = 64   // different rules in one frame
	maxQueue      = 8192 // entries
	// maxFrameBytes is the largest of the sizes in which gRPC pools buffers, but
	// for that of 1 MiB, which would be cleared for every frame.
	maxFrameBytes = 32 << 10
	// quota bounds the bytes sent and not answered, a little below the 64 KiB
	// that gRPC's stream takes before SendMsg blocks.
	quota = 60 << 10
	// company is how many hits must wait before a frame leaves while another
	// is unanswered: fewer go cheaper in the next one.
	company = 64

	// MaxCall is how many bytes the payload of a call, or its answer, may have.
	// A partition's copy must always fit.
	MaxCall = 4 << 20

	maxMessage = 128 << 10 // of hits; calls are bounded by MaxCall
	maxReply   = maxMessage - 1<<10
	window     = 4 << 20 // set on both ends: it switches gRPC's estimator pings off
	dialTime   = time.Second
)
