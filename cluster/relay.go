package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-dev/shoal/bucket"
	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/transport"
)

// An orphan goes to its holder by way of another replica. It keeps the boot and the
// number under which it was first sent, so the holder doesn't debit it twice if the
// first did arrive.
//
// The request is: holder, asker and number u64 each, remaining time u32 (us),
// digest 16, tokens i64, 1 for a peek or else 0, the rule. The answer is a verdict,
// or empty if the hit was not debited: the token isn't there, or a hit that was never
// sent elsewhere couldn't be passed on.
const (
	relayHeader = 8 + 8 + 8 + 4 + 16 + 8 + 1
	maxRelaying = time.Second
)

var errRelay = errors.New("cluster: malformed relayed hit")

// outcome says what became of a relayed hit.
type outcome uint8

const (
	unknown outcome = iota // nobody knows
	spared                 // it was not debited, and won't be
	decided
)

// relay sends a hit to its holder by way of m.
func (n *Node) relay(m *member, sent sentHit, h *transport.Hit, expire int64) (bucket.Verdict, outcome) {
	rest := time.Duration(expire - n.now())
	if rest <= 0 {
		return bucket.Verdict{}, unknown
	}
	ctx, cancel := context.WithTimeout(context.Background(), rest)
	defer cancel()
	request := encodeRelay(sent.to.id, n.parts.self, sent.number, rest, h)
	answer, err := m.peer.Call(ctx, callRelay, request)
	if err == nil && len(answer) == 0 {
		return bucket.Verdict{}, spared
	}
	v, wrong := transport.ReadVerdict(answer, *h)
	if err != nil || wrong != nil {
		return bucket.Verdict{}, unknown
	}
	n.counters.relayed.Add(1)
	return v, decided
}

// answerRelay decides a relayed hit if it is meant for this boot, or passes it on.
// Only an asker's own call is passed on, so a hit can't go round.
func (n *Node) answerRelay(ctx context.Context, from handoff.Boot, request []byte) ([]byte, error) {
	if len(request) < relayHeader {
		return nil, errRelay
	}
	holder, asker := handoff.Boot(binary.BigEndian.Uint64(request)), handoff.Boot(binary.BigEndian.Uint64(request[8:]))
	rest := time.Duration(binary.BigEndian.Uint32(request[24:])) * time.Microsecond
	if holder == n.parts.self {
		return n.decideRelayed(ctx, asker, request)
	}
	m := n.view.Load().reach(holder)
	if m == nil || m.peer == nil || !m.alive() || from != asker {
		if number := binary.BigEndian.Uint64(request[16:]); number == 0 {
			return nil, nil // it is nowhere else, so it wasn't debited
		}
		return nil, errNotMe
	}
	ctx, cancel := context.WithTimeout(ctx, min(rest, maxRelaying))
	defer cancel()
	return m.peer.Call(ctx, callRelay, request)
}

// decideRelayed decides a hit that has come by way of another, unless its time is over.
func (n *Node) decideRelayed(ctx context.Context, asker handoff.Boot, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rule, err := bucket.DecodeRule(request[relayHeader:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRelay, err)
	}
	h := transport.Hit{
		Digest: bucket.Digest{Hi: binary.BigEndian.Uint64(request[28:]), Lo: binary.BigEndian.Uint64(request[36:])},
		Rule:   rule,
		Tokens: int64(binary.BigEndian.Uint64(request[44:])),
		Peek:   request[52] != 0,
	}
	answer, err := n.server.DecideOnce(uint64(asker), binary.BigEndian.Uint64(request[16:]), h, n.now())
	if err != nil {
		return nil, err
	}
	if answer.NotHeld {
		return nil, nil
	}
	return transport.AppendVerdict(nil, &answer.Verdict), nil
}

func encodeRelay(holder, asker handoff.Boot, number uint64, rest time.Duration, h *transport.Hit) []byte {
	b := make([]byte, 0, relayHeader+h.Rule.BinarySize())
	b = binary.BigEndian.AppendUint64(b, uint64(holder))
	b = binary.BigEndian.AppendUint64(b, uint64(asker))
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint32(b, uint32(rest.Microseconds()))
	b = binary.BigEndian.AppendUint64(b, h.Digest.Hi)
	b = binary.BigEndian.AppendUint64(b, h.Digest.Lo)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Tokens))
	peek := byte(0)
	if h.Peek {
		peek = 1
	}
	b, _ = h.Rule.AppendBinary(append(b, peek))
	return b
}
