package bucket

import (
	"encoding/binary"
	"errors"
)

// Receipt says what was charged for a hit, where and when: all that Store.Refund
// needs to give back what is the hit's own and nobody else's. It is a small value
// that may be compared, copied and sent to the store that wrote it, and means
// nothing to any other: what it calls a time is one of that store's clock. The zero
// Receipt refunds nothing.
//
// One time is enough for a window, whose state tells when it began, and for a
// log. A bucket's tokens come back one after the other, the oldest first, so there
// the receipt tells as well how far from the head of that queue the charge was: in
// 1/256 of the capacity, rounded down. Where its own cost is more than that it is
// exact.
type Receipt struct {
	at     int64 // when it was charged, on the store's clock
	tokens int64
	store  uint32 // StoreConfig.ID
	rule   uint32 // the print of the terms
	owed   uint64 // a byte by place: how long after at the last of it is paid back
}

// ReceiptBytes is the size of a receipt in binary.
const ReceiptBytes = 8 + 8 + 4 + 4 + 8

// Tokens returns how many tokens the receipt is for.
func (r Receipt) Tokens() int64 { return r.tokens }

// Part returns a receipt for no more than that many of the tokens, for a charge of
// which not all was used.
func (r Receipt) Part(tokens int64) Receipt {
	r.tokens = max(0, min(r.tokens, tokens))
	return r
}

// AppendBinary appends the receipt in ReceiptBytes bytes for DecodeReceipt. It
// implements encoding.BinaryAppender and never fails.
func (r Receipt) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, uint64(r.at))
	b = binary.BigEndian.AppendUint64(b, uint64(r.tokens))
	b = binary.BigEndian.AppendUint32(b, r.store)
	b = binary.BigEndian.AppendUint32(b, r.rule)
	return binary.BigEndian.AppendUint64(b, r.owed), nil
}

var errReceipt = errors.New("bucket: malformed receipt")

// DecodeReceipt reads what AppendBinary appended, and no more. Any numbers will
// do: whatever it says, a receipt makes no bucket more than full.
func DecodeReceipt(b []byte) (r Receipt, err error) {
	if len(b) != ReceiptBytes {
		return Receipt{}, errReceipt
	}
	r.at, r.tokens = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	r.store, r.rule = binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
	r.owed = binary.BigEndian.Uint64(b[24:])
	if r.at < 0 || r.tokens < 0 {
		return Receipt{}, errReceipt
	}
	return r, nil
}

// write makes r the receipt of a hit that has just been charged to the accounts.
func (s *Store) write(r *Receipt, h *hit, accounts []account) {
	owed := uint64(0)
	for i := range h.terms[:h.plain] {
		if t := &h.terms[i]; !t.windowed() {
			owed |= uint64(t.gcra.grains(t.gcra.debt(accounts[i].next, h.now))) << (8 * i)
		}
	}
	*r = Receipt{at: h.now, tokens: h.n, store: s.id, rule: h.print, owed: owed}
}

// grains is how many of them after at the charge to the limit at place i is paid
// back.
func (r *Receipt) grains(i int) uint8 { return uint8(r.owed >> (8 * i)) }

// grains is the debt in 1/256 of the deepest, or less than that, rounded down.
func (g *gcra) grains(d span) uint8 { return uint8(min(d.ns>>g.grain, 255)) }
