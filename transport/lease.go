package transport

import (
	"encoding/binary"
	"math"
	"time"
)

// Statement is what a hit says of the tokens of its key that the asker was lent by
// the holder: bucket.Ask's.
type Statement struct {
	// Seq numbers it among all of the asker's boot; 0 is no statement.
	Seq              uint64
	Have, Back, Want int64
}

// Grant is the holder's answer to a statement: bucket.Answer's.
type Grant struct {
	// Seq is that of the statement, 0 if it had no effect.
	Seq               uint64
	Keep, Grant, Left int64
	Term, Hold        time.Duration
}

const (
	statementBytes = 8 + 8 + 8 + 8
	grantBytes     = 8 + 8 + 8 + 8 + 8 + 8
	refusedBytes   = 4
)

func (s *Statement) append(b []byte) []byte {
	for _, n := range [...]uint64{s.Seq, uint64(s.Have), uint64(s.Back), uint64(s.Want)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// read takes anything for a statement that is long enough; bucket makes sense of it.
func (s *Statement) read(b []byte) {
	if len(b) < statementBytes {
		return
	}
	s.Seq = binary.BigEndian.Uint64(b)
	s.Have, s.Back, s.Want = int64(binary.BigEndian.Uint64(b[8:])), int64(binary.BigEndian.Uint64(b[16:])), int64(binary.BigEndian.Uint64(b[24:]))
}

// read makes what is negative 0.
func (g *Grant) read(b []byte) {
	if len(b) < grantBytes {
		return
	}
	natural := func(b []byte) int64 { return max(int64(binary.BigEndian.Uint64(b)), 0) }
	*g = Grant{
		Seq:  binary.BigEndian.Uint64(b),
		Keep: natural(b[8:]), Grant: natural(b[16:]), Left: natural(b[24:]),
		Term: time.Duration(natural(b[32:])), Hold: time.Duration(natural(b[40:])),
	}
}

// grantRoom is what the fields of an answer to a statement take.
const grantRoom = fieldsHeader + fieldHeader + grantBytes

// Speaks reports whether the hit says more than what it asks for.
func (h *Hit) Speaks() bool { return h.Statement.Seq != 0 || h.Refused > 0 }

// speech is how many bytes appendSpeech appends.
func (h *Hit) speech() (size int) {
	if h.Statement.Seq != 0 {
		size += fieldHeader + statementBytes
	}
	if h.Refused > 0 {
		size += fieldHeader + refusedBytes
	}
	return size + fieldsHeader
}

// appendSpeech appends the fields of what the hit says, if anything.
func (h *Hit) appendSpeech(b []byte) []byte {
	if !h.Speaks() {
		return b
	}
	b, start := beginFields(b)
	if h.Statement.Seq != 0 {
		b = h.Statement.append(appendField(b, fieldStatement, statementBytes))
	}
	if h.Refused > 0 {
		b = binary.BigEndian.AppendUint32(appendField(b, fieldRefused, refusedBytes), uint32(min(h.Refused, math.MaxUint32)))
	}
	endFields(b, start)
	return b
}

// hear reads the fields that appendSpeech appended.
func (h *Hit) hear(own fields) {
	if f, ok := own.get(fieldStatement); ok {
		h.Statement.read(f)
	}
	if f, ok := own.get(fieldRefused); ok && len(f) >= refusedBytes {
		h.Refused = int64(binary.BigEndian.Uint32(f))
	}
}

// appendGrant appends the field of an answer to a statement.
func appendGrant(b []byte, g *Grant) []byte {
	b = appendField(b, fieldGrant, grantBytes)
	for _, n := range [...]uint64{g.Seq, uint64(g.Keep), uint64(g.Grant), uint64(g.Left), uint64(g.Term), uint64(g.Hold)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}
