package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"

	"github.com/shoal-dev/shoal/bucket"
)

// tcp is what the machine allows: Shoal's batching over a bare TCP connection, with
// frames of the same size. There is nothing else: no deadlines, no second attempt, no
// memory of what was answered, no heartbeats and no bounds. idle leaves out the digest
// and the decision as well.
type tcp struct{ secure, idle bool }

const (
	tcpHeader  = 4 + 24 // the length that gRPC has in its own frames, and Shoal's header
	tcpHit     = 32
	tcpVerdict = 48
	tcpFrame   = 1024 // hits in one at most
	tcpCompany = 64   // hits must wait for a frame beside one that is unanswered
)

func (s tcp) serve() (address string, stop func(), err error) {
	l, err := listen(s.secure)
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.answer(conn)
		}
	}()
	return l.Addr().String(), func() { _ = l.Close() }, nil
}

// answer is the owner's end of a connection.
func (s tcp) answer(conn net.Conn) {
	d, rule := newDecider(), benchRule()
	in := bufio.NewReaderSize(conn, 64<<10)
	request, reply := make([]byte, tcpHeader+tcpFrame*tcpHit), make([]byte, tcpHeader+tcpFrame*tcpVerdict)
	for {
		hits, err := readFrame(in, request, tcpHit)
		if err != nil {
			_ = conn.Close()
			return
		}
		now := d.Now()
		for i := range hits {
			hit, verdict := request[tcpHeader+i*tcpHit:], reply[tcpHeader+i*tcpVerdict:]
			v := bucket.Verdict{Allowed: true}
			if !s.idle {
				digest := bucket.Digest{Hi: binary.BigEndian.Uint64(hit), Lo: binary.BigEndian.Uint64(hit[8:])}
				v = d.store.TakeDigest(rule, digest, int64(binary.BigEndian.Uint64(hit[16:])), now)
			}
			verdict[0] = 0
			if v.Allowed {
				verdict[0] = 1
			}
			binary.BigEndian.PutUint64(verdict[4:], uint64(v.Remaining))
			binary.BigEndian.PutUint64(verdict[12:], uint64(v.RetryAfter))
			binary.BigEndian.PutUint64(verdict[20:], uint64(v.ResetAfter))
			v.Receipt.PutCore(verdict[28:])
		}
		binary.BigEndian.PutUint32(reply, uint32(hits))
		if _, err := conn.Write(reply[:tcpHeader+hits*tcpVerdict]); err != nil {
			_ = conn.Close()
			return
		}
	}
}

// readFrame reads the header and as many records as it says.
func readFrame(in io.Reader, frame []byte, record int) (records int, err error) {
	if _, err := io.ReadFull(in, frame[:tcpHeader]); err != nil {
		return 0, err
	}
	records = int(binary.BigEndian.Uint32(frame))
	if records > tcpFrame {
		return 0, errors.New("a frame is too long")
	}
	_, err = io.ReadFull(in, frame[tcpHeader:tcpHeader+records*record])
	return records, err
}

func (s tcp) connect(_ context.Context, address string, keys int) (asker, error) {
	conn, err := dial(address, s.secure)
	if err != nil {
		return nil, err
	}
	a := &tcpAsker{tcp: s, conn: conn, decider: newDecider(), rule: benchRule(), keys: keyNames(keys), gone: make(chan struct{})}
	a.calls.New = func() any { return &tcpCall{done: make(chan struct{}, 1)} }
	go a.read()
	return a, nil
}

// tcpAsker batches as package transport does: whoever finds nobody sending sends what
// is queued, after a yield; the reader wakes a frame's callers, yields, and sends on.
type tcpAsker struct {
	tcp
	decider // for its digests
	conn    net.Conn
	rule    *bucket.Rule
	keys    []string
	calls   sync.Pool
	gone    chan struct{}

	mu       sync.Mutex
	queue    []*tcpCall
	flights  [][]*tcpCall
	spare    [][]*tcpCall
	inFlight int
	sending  bool
	closed   bool
	out      []byte
}

type tcpCall struct {
	digest  bucket.Digest
	verdict [tcpVerdict]byte
	done    chan struct{}
}

func (a *tcpAsker) ask(i int) error {
	c := a.calls.Get().(*tcpCall)
	if !a.idle {
		c.digest = a.store.Digest(a.rule, a.keys[i])
	}
	if err := a.enqueue(c); err != nil {
		return err
	}
	select {
	case <-c.done:
	default:
		select { // only when it has to wait, as this is dearer
		case <-c.done:
		case <-a.gone:
			return io.ErrClosedPipe
		}
	}
	allowed := c.verdict[0]&1 != 0
	a.calls.Put(c)
	if !allowed {
		return errRefused
	}
	return nil
}

func (a *tcpAsker) enqueue(c *tcpCall) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return io.ErrClosedPipe
	}
	a.queue = append(a.queue, c)
	if a.ready() {
		a.sending = true
		a.mu.Unlock()
		runtime.Gosched()
		a.mu.Lock()
		a.sending = false
		a.pump()
	}
	return nil
}

func (a *tcpAsker) ready() bool {
	return len(a.queue) > 0 && !a.sending && (a.inFlight == 0 || len(a.queue) >= tcpCompany)
}

// pump sends a frame, and another if that was answered meanwhile. a.mu is held.
func (a *tcpAsker) pump() {
	for sent := false; a.ready() && !(sent && a.inFlight > 0); sent = true {
		var batch []*tcpCall
		if n := len(a.spare); n > 0 {
			batch, a.spare = a.spare[n-1][:0], a.spare[:n-1]
		}
		n := min(len(a.queue), tcpFrame)
		batch = append(batch, a.queue[:n]...)
		a.queue = a.queue[:copy(a.queue, a.queue[n:])]
		a.flights = append(a.flights, batch)
		a.inFlight++
		a.sending = true
		a.mu.Unlock()
		a.out = append(a.out[:0], make([]byte, tcpHeader)...)
		binary.BigEndian.PutUint32(a.out, uint32(n))
		for _, c := range batch {
			a.out = binary.BigEndian.AppendUint64(a.out, c.digest.Hi)
			a.out = binary.BigEndian.AppendUint64(a.out, c.digest.Lo)
			a.out = binary.BigEndian.AppendUint64(a.out, 1)
			a.out = binary.BigEndian.AppendUint64(a.out, 50_000<<32)
		}
		_, _ = a.conn.Write(a.out) // whose error the reader sees
		a.mu.Lock()
		a.sending = false
	}
}

func (a *tcpAsker) read() {
	in := bufio.NewReaderSize(a.conn, 64<<10)
	reply := make([]byte, tcpHeader+tcpFrame*tcpVerdict)
	for {
		n, err := readFrame(in, reply, tcpVerdict)
		if err != nil {
			a.mu.Lock()
			a.closed = true
			a.mu.Unlock()
			close(a.gone)
			return
		}
		a.mu.Lock()
		batch := a.flights[0]
		a.flights = a.flights[:copy(a.flights, a.flights[1:])]
		a.mu.Unlock()
		for i, c := range batch[:n] {
			copy(c.verdict[:], reply[tcpHeader+i*tcpVerdict:])
			c.done <- struct{}{}
		}
		runtime.Gosched()
		a.mu.Lock()
		a.spare = append(a.spare, batch)
		a.inFlight--
		a.pump()
		a.mu.Unlock()
	}
}

func (a *tcpAsker) check() error { return nil }

func (a *tcpAsker) close() {
	_ = a.conn.Close()
	<-a.gone
}
