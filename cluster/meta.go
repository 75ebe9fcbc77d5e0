package cluster

import (
	"encoding/binary"
	"errors"
)

// meta is what a node says of itself by gossip, in memberlist's Meta. It must
// stay small: 512 bytes is the end, and all of it travels with every change.
type meta struct {
	name    string // stable id
	epoch   uint64 // orders the boots of one name: the highest is the living one
	address string // where it takes hits from its peers, host:port
	print   string // SHA-256 of its certificate; "" if it has none
	leaving bool   // it hands over what it has, and takes nothing more
}

const (
	metaVersion = 1
	flagLeaving = 1 << 0
)

var errMeta = errors.New("cluster: malformed meta")

// encode is: version, epoch, name, peer address and fingerprint, each with its
// length, and flags.
func (m meta) encode() []byte {
	b := []byte{metaVersion}
	b = binary.BigEndian.AppendUint64(b, m.epoch)
	b = append(append(b, byte(len(m.name))), m.name...)
	b = append(append(b, byte(len(m.address))), m.address...)
	b = append(append(b, byte(len(m.print))), m.print...)
	if m.leaving {
		return append(b, flagLeaving)
	}
	return append(b, 0)
}

// decodeMeta ignores what later versions may append.
func decodeMeta(b []byte) (m meta, err error) {
	if len(b) < 9 || b[0] != metaVersion {
		return meta{}, errMeta
	}
	m.epoch = binary.BigEndian.Uint64(b[1:])
	name, rest, ok := cutString(b[9:])
	address, rest, ok2 := cutString(rest)
	print, rest, ok3 := cutString(rest)
	if !ok || !ok2 || !ok3 || len(rest) == 0 || name == "" {
		return meta{}, errMeta
	}
	m.name, m.address, m.print = name, address, print
	m.leaving = rest[0]&flagLeaving != 0
	return m, nil
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	end := 1 + int(b[0])
	return string(b[1:end]), b[end:], true
}
