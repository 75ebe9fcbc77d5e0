package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// PeerConfig says how to reach a peer. Address, Dial and Now are required.
type PeerConfig struct {
	Address string // of its Server, host:port
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Now     Clock
	Hello   Hello
	Boot    uint64 // of the peer; one that says another is refused. 0 takes anybody
	// TLS is asked for the configuration of each connection; nil means plain text. If
	// it fails, so does the connection: nothing is ever sent in plain text instead.
	TLS func() (*tls.Config, error)
	Log *slog.Logger // nil discards
	// Silence is how long the peer may leave something unanswered before hits
	// fail at once. 0 means 100 ms.
	Silence time.Duration
	// Panicked is called with the value of a panic that the peer has recovered from, and
	// in what, while the stack still shows where. It must neither block nor call the peer.
	// nil logs it.
	Panicked func(where string, p any)
	// Meter counts what this peer does. nil means one of its own.
	Meter *Meter
}

// Peer is the asking end of the connections to one other replica. It is safe for
// concurrent use.
type Peer struct {
	config  PeerConfig
	silence int64 // of the config, in nanoseconds
	buffers pool
	out     frame // being sent
	cancel  context.CancelFunc
	done    <-chan struct{} // closed by cancel
	wg      sync.WaitGroup
	alarm   chan struct{} // of capacity 1: armed was moved forward

	mu         sync.Mutex
	state      peerState
	tried      bool              // the first attempt to connect has ended
	stream     grpc.ClientStream // nil unless connected
	hangUp     func()            // ends the stream; nil once it is to be ended
	boot       string            // who answers on the stream, or did on the last; "" is nobody
	queue      line
	flights    []*batch         // sent and not answered, oldest first
	again      []*batch         // of streams that broke, to be sent before the queue
	spare      []*batch         // to be used again
	inFlight   int              // frames that hold back the next: flights, and one just answered
	unanswered int              // bytes in flight
	sending    bool             // somebody is putting a frame together or sending it
	reply      reply            // being read, by whoever reads the stream
	sequence   uint64           // number of the last hit that was put in a frame
	armed      int64            // when the sweeper will look next, but for a grain
	bulk       *grpc.ClientConn // of the calls; nil before the first

	heard   int64 // when the last frame came
	silent  bool  // hits fail at once
	beating bool  // a heartbeat is unanswered
	beatDue bool  // one has to be sent
	beaten  struct {
		at     int64  // when the last was sent
		number uint64 // of the last hit before it
	}
	sight   Sight // what the peer said last
	sighted int64 // and when; 0 is never
}

type peerState uint8

const (
	connecting   peerState = iota // for the first time, or since a stream broke: hits queue
	connected                     // hits are sent
	disconnected                  // the last attempt failed: hits fail at once
	closed
)

// Dial returns a peer that connects, and connects again whenever it has to, in
// the background, until Close.
func Dial(c PeerConfig) *Peer {
	ctx, cancel := context.WithCancel(context.Background())
	p := newPeer(c)
	p.cancel, p.done = cancel, ctx.Done()
	p.tend(ctx, "connecting", p.connect)
	p.tend(ctx, "sweeping", p.sweep)
	return p
}

// newPeer makes a peer that nobody connects.
//
// Its hits are numbered from the clock on. A replica that was lost from sight for a
// while gets a new Peer but is the same boot still, and remembers the numbers of
// the former one: those of the new one are higher, as no peer has sent a hit for
// every nanosecond.
func newPeer(c PeerConfig) *Peer {
	if c.Silence <= 0 {
		c.Silence = defaultSilence
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = new(Meter)
	}
	return &Peer{
		config: c, silence: int64(c.Silence), sequence: uint64(max(c.Now(), 0)),
		alarm: make(chan struct{}, 1), armed: math.MaxInt64,
	}
}

// Ask has the hit of c decided by the peer, and returns by the time expire on the clock
// Now, or at worst a timer's inaccuracy after it. Then the answer is in c. The errors are
// those of this package; with one of them the answer has the hit's number, and is zero
// otherwise. A call that was answered may be asked again, of anybody; after an error it
// may not, and its hit must be left as it is.
func (p *Peer) Ask(c *Call, expire int64) error {
	c.begin(expire)
	err := p.enqueue(c)
	if err == nil {
		<-c.done
		err = c.err
	}
	if err != nil {
		c.Answer = Answer{}
		c.Answer.Number = c.number
	}
	return err
}

// Close ends all calls, with ErrClosed unless they were sent, and waits for the
// peer's goroutines.
func (p *Peer) Close() {
	p.cancel()
	p.drop(closed, ErrClosed)
	p.wg.Wait()
}

// Tried reports whether the first attempt to connect has ended, one way or the
// other.
func (p *Peer) Tried() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried
}

// turn changes the state, for good if to closed. p.mu is held.
func (p *Peer) turn(s peerState, stream grpc.ClientStream) {
	if p.state != closed {
		p.state, p.stream, p.tried = s, stream, true
	}
}

// drop ends the calls that wait and stops sending until the state changes again.
func (p *Peer) drop(s peerState, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(s, nil)
	p.forsake()
	p.failQueue(err)
}

// failQueue ends the calls that wait for their first frame. p.mu is held.
func (p *Peer) failQueue(err error) {
	for _, c := range p.queue.heads {
		c.failAll(err)
	}
	p.queue.leave(len(p.queue.heads))
}

// jitter spreads a delay by half of it each way, so that replicas don't act in
// step.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}
