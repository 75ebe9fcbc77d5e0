package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shoal-dev/shoal/handoff"
	"github.com/shoal-dev/shoal/ring"
)

// move is a message about a partition, with the copy that travels along.
type move struct {
	handoff.Message
	partition int
	copied    []byte // of the buckets
	slots     []byte // of what runs under concurrency limits
}

// moveHeader is the size of a move without its copy: kind, leaving, partition,
// two versions, the hash of a view, and the lengths of the two copies.
const moveHeader = 1 + 1 + 2 + 16 + 16 + 8 + 4 + 4

var errMoves = errors.New("cluster: malformed batch of moves")

// appendMove writes a move. Sender and receiver are the batch's.
func appendMove(b []byte, m move) []byte {
	leaving := byte(0)
	if m.Leaving {
		leaving = 1
	}
	b = append(b, byte(m.Kind), leaving)
	b = binary.BigEndian.AppendUint16(b, uint16(m.partition))
	b = appendVersion(b, m.Version)
	b = appendVersion(b, m.Fence)
	b = binary.BigEndian.AppendUint64(b, m.View)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.copied)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.slots)))
	return append(append(b, m.copied...), m.slots...)
}

func appendVersion(b []byte, v handoff.Version) []byte {
	b = binary.BigEndian.AppendUint64(b, v.Counter)
	return binary.BigEndian.AppendUint64(b, uint64(v.Boot))
}

func version(b []byte) handoff.Version {
	return handoff.Version{Counter: binary.BigEndian.Uint64(b), Boot: handoff.Boot(binary.BigEndian.Uint64(b[8:]))}
}

// cutMove reads the first move of a batch from one boot to another. The copies
// share the batch's memory.
func cutMove(b []byte, from, to handoff.Boot) (m move, rest []byte, err error) {
	if len(b) < moveHeader {
		return move{}, nil, fmt.Errorf("%w: %d bytes left", errMoves, len(b))
	}
	m.Message = handoff.Message{
		Kind: handoff.Kind(b[0]), Leaving: b[1] != 0,
		From: from, To: to,
		Version: version(b[4:]), Fence: version(b[20:]), View: binary.BigEndian.Uint64(b[36:]),
	}
	m.partition = int(binary.BigEndian.Uint16(b[2:]))
	copied, slots := uint64(binary.BigEndian.Uint32(b[44:])), uint64(binary.BigEndian.Uint32(b[48:]))
	b = b[moveHeader:]
	if m.partition >= ring.Partitions || copied+slots > uint64(len(b)) {
		return move{}, nil, fmt.Errorf("%w: partition %d, copies of %d and %d bytes", errMoves, m.partition, copied, slots)
	}
	m.copied, m.slots = b[:copied], b[copied:copied+slots]
	return m, b[copied+slots:], nil
}
