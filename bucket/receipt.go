package bucket

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Receipt says what was charged for a hit, where and when: all that Store.Refund
// needs to give back what is the hit's own and nobody else's. It is a small value
// that may be compared, copied and sent to the store that wrote it, and means
// nothing to any other: what it calls a time is one of that store's clock. The zero
// Receipt refunds nothing.
//
// One time is enough for a sliding window, whose state tells when it began; for a
// fixed one, which may be the calendar's and of any length, the receipt has the
// lowest bits of its number. A log has its
// tokens in order, so that one which came late, by the store's clock, has the time
// of the one before it: the receipt has the difference. A bucket's tokens come back one after the other, the oldest first, so there
// the receipt tells as well how long after the charge the last of it comes back:
// the limits share 64 bits, and the time is rounded down to what fits. That is a
// nanosecond for one limit, and 1/256 of the capacity for eight.
type Receipt struct {
	at     int64 // when it was charged, on the store's clock
	tokens int64
	store  uint32 // StoreConfig.ID
	rule   uint32 // the print of the terms
	owed   uint64 // by place, after at: when the last is paid back, or is in a log; or a window's number
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
	owed, width := uint64(0), width(h.plain)
	for i := range h.terms[:h.plain] {
		t, next, part := &h.terms[i], &accounts[i].next, uint64(0)
		switch {
		case !t.windowed():
			part = t.gcra.debt(*next, h.now).ns >> t.gcra.grain(width)
		case t.algorithm == FixedWindow:
			part = uint64(next.seq) & (1<<width - 1)
		case t.algorithm == SlidingLog: // behind others that came before, though their time is later
			part = min(uint64(next.at+1-t.window.per-h.now), 1<<width-1)
		}
		owed |= part << (width * uint(i))
	}
	*r = Receipt{at: h.now, tokens: h.n, store: s.id, rule: h.print, owed: owed}
}

// width is how many bits of a receipt's owed each of the limits has.
func width(limits int) uint { return uint(64 / uint8(limits)) }

// grain is the power of two nanoseconds that a receipt counts in, so that no debt
// needs more bits than width.
func (g *gcra) grain(width uint) uint {
	return uint(max(0, bits.Len64(g.whole.ns)-int(width)))
}

// grains is that part of owed which is about the limit at place i.
func (r *Receipt) grains(i int, width uint) uint64 {
	return r.owed >> (width * uint(i)) & (1<<width - 1)
}

// CoreBytes is the size of a receipt's core.
const CoreBytes = 8 + 4 + 8

// PutCore writes into b what of the receipt whoever asked for the hit doesn't know
// anyway, in CoreBytes bytes.
func (r *Receipt) PutCore(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(r.at))
	binary.BigEndian.PutUint32(b[8:], r.store)
	binary.BigEndian.PutUint64(b[12:], r.owed)
}

// LeaseReceipt returns the receipt of a hit of so many tokens, at least one, that was spent
// from a lease: in place of a time and a store it has the number of a statement, below 2^63,
// and the id of who spent it.
func (r *Rule) LeaseReceipt(seq uint64, id uint32, tokens int64) Receipt {
	return Receipt{at: int64(seq), store: id, tokens: tokens, rule: r.print}
}

// Lease returns the number and the id of a receipt that LeaseReceipt has made. Of any
// other it returns numbers that mean nothing.
func (r *Receipt) Lease() (seq uint64, id uint32) { return uint64(r.at), r.store }

// Receipt returns the receipt with that core for a hit of so many tokens that the
// rule allowed: the zero one if there were none, or the core is that of the zero one.
func (r *Rule) Receipt(core []byte, tokens int64) Receipt {
	receipt := Receipt{
		at:    max(int64(binary.BigEndian.Uint64(core)), 0),
		store: binary.BigEndian.Uint32(core[8:]),
		owed:  binary.BigEndian.Uint64(core[12:]),
	}
	if tokens <= 0 || receipt == (Receipt{}) {
		return Receipt{}
	}
	receipt.tokens, receipt.rule = tokens, r.print
	return receipt
}
