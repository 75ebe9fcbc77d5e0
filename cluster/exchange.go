package cluster

import (
	"context"
	"encoding/binary"
	"maps"
	"runtime"
	"time"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/transport"
)

const (
	// beat is how often a node looks at what its partitions need.
	beat = 50 * time.Millisecond
	// gatherTime is how long it waits, when it is kicked, for what others have to say:
	// looking at 4096 partitions for each answer of a hundred members adds up.
	gatherTime = time.Millisecond
	// pauseTime is how long a node may have stood still before it must ask what
	// has become of the cluster meanwhile.
	pauseTime = time.Second
	// forceTime is how long a member must have been silent to be passed over.
	forceTime = time.Second
	// callTime bounds one call about partitions, with byteTime for each byte of it.
	callTime = 250 * time.Millisecond
	byteTime = time.Microsecond
	// fullBatch ends a batch: what follows goes with the next.
	fullBatch = transport.MaxCall / 2
)

// exchange moves the tokens of partitions to where the table wants them, until
// ctx is done.
func (n *Node) exchange(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	pulse, silent, minority := newPulse(), map[handoff.Boot]int64{}, minority{}
	for {
		now := n.now()
		if still := pulse.next(); still > pauseTime || n.stoodStill(now) {
			n.config.Log.Warn("this replica stood still and asks again who holds what", "for", still)
			n.parts.doubtAll(now)
		}
		n.beat.Store(now)
		n.parts.allow(n.formed(now))
		n.forceSilent(silent, now)
		if n.config.ScaleMinority {
			n.scale.Store(int32(minority.scale(n.view.Load(), now)))
		}
		for boot, moves := range n.parts.step(now, n.store.Len(), n.reachable) {
			n.once("moving partitions", func() {
				if n.callMoves(ctx, boot, moves) {
					n.kick()
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-n.kicked:
			sleep(ctx, gatherTime)
		}
	}
}

// stoodStill reports whether nothing has happened in this process for so long that
// others may have taken over what it holds.
func (n *Node) stoodStill(now int64) bool { return now-n.beat.Load() > int64(pauseTime) }

// pulse notices that this process or its machine was suspended. The monotonic clock
// may have stood still with the machine, so the one on the wall is looked at as
// well; if that was only set forward, asking again does no harm.
type pulse struct{ last time.Time }

func newPulse() pulse { return pulse{time.Now()} }

// next returns how long it has been since the last call, by the clock that says
// more.
func (p *pulse) next() time.Duration {
	now := time.Now()
	monotonic, wall := now.Sub(p.last), now.Round(0).Sub(p.last.Round(0))
	p.last = now
	return max(monotonic, wall)
}

// forceSilent takes what it can from members that have been silent for long, since
// one dead link must not keep a partition from everybody. silent says since when
// each has been.
func (n *Node) forceSilent(silent map[handoff.Boot]int64, now int64) {
	v := n.view.Load()
	maps.DeleteFunc(silent, func(b handoff.Boot, _ int64) bool { return v.byID[b] == nil })
	for _, m := range v.members {
		if m.alive() || !m.peer.Tried() { // a newcomer's first connection may take a second, if a packet is lost
			delete(silent, m.id)
			continue
		}
		if _, known := silent[m.id]; !known {
			silent[m.id] = now
		}
		if now-silent[m.id] < int64(forceTime) {
			continue
		}
		if forced := n.parts.force(m.id, now); forced > 0 {
			n.config.Log.Warn("taking over partitions that a silent member may hold", "member", m.name, "partitions", forced)
		}
	}
}

// kick makes exchange look now.
func (n *Node) kick() {
	select {
	case n.kicked <- struct{}{}:
	default:
	}
}

// formed reports whether the node knows enough of the cluster to take part: it has
// met somebody, has nobody to look for, or has looked for long.
func (n *Node) formed(now int64) bool {
	return n.gossip.joined.Load() || len(n.config.Seeds) == 0 || now >= int64(formTime)
}

// reachable reports whether a token may be sent to a boot.
func (n *Node) reachable(b handoff.Boot) bool {
	m := n.view.Load().byID[b]
	return m != nil && m.peer != nil && m.alive()
}

// callMoves tells a boot what it has to be told about some partitions and takes its
// answers. It reports whether there were any.
func (n *Node) callMoves(ctx context.Context, to handoff.Boot, due []int) (answered bool) {
	defer n.parts.called(to)
	m := n.view.Load().byID[to]
	if m == nil || m.peer == nil {
		return false
	}
	now, copied := n.now(), 0
	batch := binary.BigEndian.AppendUint64(nil, uint64(to))
	for _, i := range due {
		message, ok := n.parts.pending(i, to)
		if !ok {
			continue
		}
		step := n.withCopy(move{Message: message, partition: i}, now)
		copied += len(step.copied)
		batch = appendMove(batch, step)
		if len(batch) > fullBatch {
			break
		}
	}
	if len(batch) == 8 {
		return false // all is settled by now
	}
	answers, err := callFor(ctx, m.peer, callMoves, batch)
	if err != nil {
		n.config.Log.Debug("can't move partitions", "peer", m.name, "error", err)
		return false
	}
	if err := n.receive(answers, to, nil); err != nil {
		n.config.Log.Warn("a peer answers nonsense about partitions", "peer", m.name, "error", err)
		return false
	}
	if !n.closing.Load() {
		sleep(ctx, time.Duration(copied)*moveTime)
	}
	return true
}

// callFor calls a peer for as long as a batch of that size may take.
func callFor(ctx context.Context, p *transport.Peer, kind uint8, batch []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime+time.Duration(len(batch))*byteTime)
	defer cancel()
	return p.Call(ctx, kind, batch)
}

// withCopy adds the state to the messages that carry it. For a Transfer the
// token was given up before: nothing is debited any more that isn't in the copy.
func (n *Node) withCopy(m move, now int64) move {
	switch m.Kind {
	case handoff.Transfer, handoff.Copy:
		m.slots = n.inflight.appendLent(nil, m.partition, n.parts.self, now)
	case handoff.Free:
		m.slots = n.inflight.appendOwned(nil, m.partition, n.parts.self, now)
	default:
		return m
	}
	m.copied, _ = n.store.AppendCopy(nil, m.partition, now)
	return m
}

// receive merges what came with each message of a batch and hands the message to
// its partition. Answers are appended to *answers until they are enough.
func (n *Node) receive(batch []byte, from handoff.Boot, answers *[]byte) error {
	now := n.now()
	for len(batch) > 0 {
		m, rest, err := cutMove(batch, from, n.parts.self)
		if err != nil {
			return err
		}
		batch = rest
		if len(m.copied) > 0 {
			if err := n.store.Merge(m.partition, m.copied, now); err != nil {
				return err
			}
			runtime.Gosched() // hits go first
		}
		if err := n.inflight.merge(m.partition, m.slots, n.parts.self, now); err != nil {
			return err
		}
		answer, due := n.parts.receive(m.partition, m.Message, now)
		if !due || answers == nil {
			continue
		}
		*answers = appendMove(*answers, n.withCopy(move{Message: answer, partition: m.partition}, now))
		if len(*answers) > fullBatch {
			return nil // the rest is asked again
		}
	}
	return nil
}

// answerMoves answers a batch of moves.
func (n *Node) answerMoves(from handoff.Boot, batch []byte) ([]byte, error) {
	if len(batch) < 8 {
		return nil, errMoves
	}
	if to := handoff.Boot(binary.BigEndian.Uint64(batch)); to != n.parts.self || n.parts.hasDeparted(from) {
		return nil, errNotMe
	}
	answers := []byte{}
	err := n.receive(batch[8:], from, &answers)
	n.kick()
	return answers, err
}
