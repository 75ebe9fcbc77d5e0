package transport

import (
	"encoding/binary"
	"time"
)

const (
	// busyBeat and idleBeat are how often a heartbeat goes while there are hits
	// and while there are none.
	busyBeat = int64(250 * time.Millisecond)
	idleBeat = int64(500 * time.Millisecond)

	heartbeatBytes = envelopeBytes + 12
	sightBytes     = envelopeBytes + 20
)

// heartbeat is the asker's question for a sign of life at the time now.
func heartbeat(now int64) *frame {
	out := plainFrame(heartbeatBytes)
	f := (*out.out)[envelopeBytes:]
	f[0], f[1] = version, kindHeartbeat
	binary.BigEndian.PutUint16(f[2:], 0)
	binary.BigEndian.PutUint64(f[4:], uint64(now))
	seal(*out.out)
	return out
}

// parseHeartbeat returns the asker's clock.
func parseHeartbeat(b []byte) (sent int64, err error) {
	f, err := parseBeat(b, kindHeartbeat, heartbeatBytes)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(f[4:])), nil
}

// sighting is the answer to a heartbeat.
func sighting(s Sight) *frame {
	out := plainFrame(sightBytes)
	f := (*out.out)[envelopeBytes:]
	f[0], f[1] = version, kindSight
	binary.BigEndian.PutUint16(f[2:], 0)
	binary.BigEndian.PutUint64(f[4:], s.View)
	binary.BigEndian.PutUint64(f[12:], s.Table)
	seal(*out.out)
	return out
}

func parseSight(b []byte) (Sight, error) {
	f, err := parseBeat(b, kindSight, sightBytes)
	if err != nil {
		return Sight{}, err
	}
	return Sight{View: binary.BigEndian.Uint64(f[4:]), Table: binary.BigEndian.Uint64(f[12:])}, nil
}

// parseBeat returns what is inside a heartbeat or its answer. A later version may
// append to them.
func parseBeat(b []byte, kind byte, size int) ([]byte, error) {
	f, err := unseal(b)
	switch {
	case err != nil:
		return nil, err
	case len(f) < size-envelopeBytes:
		return nil, malformed("%d bytes are no heartbeat", len(f))
	case f[0] != version || f[1] != kind:
		return nil, malformed("version %d, kind %d", f[0], f[1])
	}
	return f, nil
}

// Sight returns what the peer said last of how it sees the cluster, and when that
// was on the clock Now; 0 says that it has said nothing yet.
func (p *Peer) Sight() (s Sight, heard int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sight, p.sighted
}

// nextBeat is when a heartbeat should go. p.mu is held.
func (p *Peer) nextBeat() int64 {
	if p.beaten.number != p.sequence || len(p.queue.heads) > 0 || len(p.flights) > 0 {
		return p.beaten.at + busyBeat
	}
	return p.beaten.at + idleBeat
}

// beatIfDue lets pump send a heartbeat if it is time for one, or has the sweeper
// look then. At most one is unanswered. p.mu is held.
func (p *Peer) beatIfDue(now int64) {
	if p.stream == nil || p.beating || p.beatDue {
		return
	}
	if at := p.nextBeat(); at > now {
		p.rearm(at + grain)
		return
	}
	p.beatDue = true
}

// beat sends a heartbeat. p.mu is held, but not while the frame is sent.
func (p *Peer) beat() {
	stream := p.stream
	p.sending, p.beatDue = true, false
	var now int64
	var f *frame
	p.released(func() {
		now = p.config.Now()
		f = heartbeat(now)
	})
	if p.stream == stream {
		p.beating = true
		p.beaten.at, p.beaten.number = now, p.sequence
		p.unanswered += heartbeatBytes
		p.watch(now + p.silence + grain)
		p.hand(stream, f)
	}
	p.sending = false
}

// sees notes the answer b to the heartbeat.
func (p *Peer) sees(b []byte) error {
	s, err := parseSight(b)
	if err != nil {
		return err
	}
	now := p.config.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.beating {
		return malformed("an answer to no heartbeat")
	}
	p.beating = false
	p.unanswered -= heartbeatBytes
	p.sight, p.sighted = s, max(now, 1)
	p.hear(now)
	p.watch(p.nextBeat() + grain)
	return nil
}
