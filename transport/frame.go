package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

const (
	version = 1

	kindHits      = 1
	kindReply     = 2
	kindHeartbeat = 3
	kindSight     = 4
	kindCall      = 5
	kindCallReply = 6

	flagOrphan = 1 << 0 // in a hit's record
	flagPeek   = 1 << 1
	flagFields = 1 << 2 // there are fields of the hit behind the records

	envelopeBytes = 5 // protobuf's tag and a length of four bytes
	requestHeader = 24
	hitBytes      = 32
	ruleHeader    = 2
)

var errMalformed = errors.New("transport: malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
}

// seal writes the protobuf envelope around the frame in b, whose first
// envelopeBytes are reserved for it: field 1, and the length as a varint that is
// padded to four bytes, so that it can be written last.
func seal(b []byte) {
	n := uint32(len(b) - envelopeBytes)
	b[0] = 1<<3 | 2
	b[1], b[2], b[3], b[4] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)|0x80, byte(n>>21)&0x7f
}

// unseal returns the frame inside the envelope.
func unseal(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] != 1<<3|2 {
		return nil, malformed("not a Frame message")
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n != uint64(len(b)-1-size) {
		return nil, malformed("length field does not match %d bytes", len(b))
	}
	return b[1+size:], nil
}

// kindOf is the kind of a frame, or 0 if it has none.
func kindOf(b []byte) byte {
	f, err := unseal(b)
	if err != nil || len(f) < 2 {
		return 0
	}
	return f[1]
}

// batch is the calls that leave together in one frame.
type batch struct {
	calls    []*Call        // one of each entry, the first
	hits     int            // that there are, with their equals
	fields   []byte         // of the entries that have any
	room     int            // what the reply may take at most
	rules    []*bucket.Rule // the different ones among them
	bytes    int            // of the frame
	budget   int            // that bytes may not exceed
	earliest int64          // deadline among the calls
	first    uint64         // number of calls[0]; the others count on from it, equals and all
	sent     int64          // when it was sent last
	tried    bool           // it was sent
	to       string         // the boot to which it was
}

// add appends an entry if the frame has room for it and its rule, and the reply for
// the answer.
func (b *batch) add(c *Call) bool {
	size, room := hitBytes, verdictBytes
	place, known := b.place(c.Hit.Rule)
	if !known {
		size += ruleHeader + c.Hit.Rule.BinarySize()
	}
	if c.others > 0 {
		size += fieldsHeader + fieldHeader + countBytes
		room += runRoom(c.Hit.Rule)
	} else if c.Hit.Speaks() {
		size += c.Hit.speech()
		room += grantRoom
	}
	if len(b.calls) == maxFrameHits || place == maxFrameRules || b.bytes+size > b.budget || b.room+room > maxReply {
		return false
	}
	if !known {
		b.rules = append(b.rules, c.Hit.Rule)
	}
	c.rule = uint16(place)
	b.calls = append(b.calls, c)
	if c.others == 0 {
		c.number = b.first + uint64(b.hits)
		b.hits++
		b.fields = c.Hit.appendSpeech(b.fields)
	} else {
		b.addEquals(c)
	}
	b.bytes += size
	b.room += room
	b.earliest = min(b.earliest, c.expire)
	return true
}

// addEquals numbers an entry's calls, and has the frame say how many they are.
func (b *batch) addEquals(c *Call) {
	var start int
	b.fields, start = beginFields(b.fields)
	b.fields = appendField(b.fields, fieldCount, countBytes)
	b.fields = binary.BigEndian.AppendUint32(b.fields, uint32(1+c.others))
	endFields(b.fields, start)
	for ; c != nil; c = c.next {
		c.number = b.first + uint64(b.hits)
		b.hits++
	}
}

// place finds a rule's place in the frame, or the next free one. It looks at the
// last rule first: most frames have one. Rules that are made anew for each hit
// share a place if they decide alike.
func (b *batch) place(r *bucket.Rule) (place int, known bool) {
	for i := len(b.rules) - 1; i >= 0; i-- {
		if b.rules[i] == r || b.rules[i].Equivalent(r) {
			return i, true
		}
	}
	return len(b.rules), false
}

// reset empties the batch for another frame of at most budget bytes, whose hits
// are numbered from first.
func (b *batch) reset(budget int, first uint64) {
	clear(b.calls)
	clear(b.rules)
	*b = batch{
		calls: b.calls[:0], rules: b.rules[:0], fields: b.fields[:0], room: replySize(0),
		bytes: envelopeBytes + requestHeader, budget: budget, earliest: math.MaxInt64,
		first: first,
	}
}

// alive reports whether somebody still waits for one of the calls.
func (b *batch) alive() bool {
	return slices.ContainsFunc(b.calls, (*Call).alive)
}

// encode writes the frame into buf, which has b.bytes bytes. now is the time at
// the sender, from which the remaining times count.
func (b *batch) encode(buf []byte, now int64) {
	f := buf[envelopeBytes:]
	f[0], f[1] = version, kindHits
	binary.BigEndian.PutUint16(f[2:], uint16(len(b.calls)))
	binary.BigEndian.PutUint64(f[4:], b.first)
	binary.BigEndian.PutUint64(f[12:], uint64(now))
	binary.BigEndian.PutUint16(f[20:], hitBytes)
	binary.BigEndian.PutUint16(f[22:], uint16(len(b.rules)))
	f = f[requestHeader:]
	for _, r := range b.rules {
		binary.BigEndian.PutUint16(f, uint16(r.BinarySize()))
		_, _ = r.AppendBinary(f[ruleHeader:ruleHeader]) // in place: there is room
		f = f[ruleHeader+r.BinarySize():]
	}
	for _, c := range b.calls {
		binary.BigEndian.PutUint64(f[0:], c.Hit.Digest.Hi)
		binary.BigEndian.PutUint64(f[8:], c.Hit.Digest.Lo)
		binary.BigEndian.PutUint64(f[16:], uint64(c.Hit.Tokens))
		binary.BigEndian.PutUint32(f[24:], microseconds(c.expire-now))
		binary.BigEndian.PutUint16(f[28:], c.rule)
		var flags uint16
		if c.Hit.Orphan {
			flags |= flagOrphan
		}
		if c.Hit.Peek {
			flags |= flagPeek
		}
		if c.others > 0 || c.Hit.Speaks() {
			flags |= flagFields
		}
		binary.BigEndian.PutUint16(f[30:], flags)
		f = f[hitBytes:]
	}
	copy(f, b.fields)
	seal(buf)
}

// microseconds rounds nanoseconds down, into the range of the field.
func microseconds(ns int64) uint32 {
	return uint32(min(max(ns/1000, 0), math.MaxUint32))
}

// request is a received frame of hits.
type request struct {
	first  uint64
	sent   int64
	count  int
	stride int
	rules  []*bucket.Rule
	hits   []byte
	tail   []byte // the fields of the hits to come
	room   int    // what the reply may take at most
}

// parse reads the frame and checks everything in it that could be wrong. Rules are looked
// up in, and added to, the session's.
func (r *request) parse(b []byte, rules *ruleCache) error {
	f, err := unseal(b)
	if err != nil {
		return err
	}
	if len(f) < requestHeader {
		return malformed("%d bytes are no header", len(f))
	}
	if f[0] != version || f[1] != kindHits {
		return malformed("version %d, kind %d", f[0], f[1])
	}
	r.count = int(binary.BigEndian.Uint16(f[2:]))
	r.first = binary.BigEndian.Uint64(f[4:])
	r.sent = int64(binary.BigEndian.Uint64(f[12:]))
	r.stride = int(binary.BigEndian.Uint16(f[20:]))
	places := int(binary.BigEndian.Uint16(f[22:]))
	f = f[requestHeader:]
	if r.count == 0 || r.count > maxFrameHits || r.stride < hitBytes || places > maxFrameRules {
		return malformed("%d hits of %d bytes with %d rules", r.count, r.stride, places)
	}
	r.rules = r.rules[:0]
	for range places {
		if len(f) < ruleHeader || len(f)-ruleHeader < int(binary.BigEndian.Uint16(f)) {
			return malformed("a rule goes beyond the end")
		}
		end := ruleHeader + int(binary.BigEndian.Uint16(f))
		rule, err := rules.get(f[ruleHeader:end])
		if err != nil {
			return err
		}
		r.rules = append(r.rules, rule)
		f = f[end:]
	}
	if len(f) < r.count*r.stride {
		return malformed("%d bytes for %d hits of %d", len(f), r.count, r.stride)
	}
	r.hits, r.tail = f[:r.count*r.stride], f[r.count*r.stride:]
	return r.check()
}

// check looks at what the hits refer to.
func (r *request) check() error {
	r.room = replySize(r.count)
	tail := r.tail
	for i := range r.count {
		if rule := r.rule(i); rule >= len(r.rules) {
			return malformed("rule %d of %d", rule, len(r.rules))
		}
		if r.flags(i)&flagFields == 0 {
			continue
		}
		f, rest, err := cutFields(tail)
		if err != nil {
			return err
		}
		tail = rest
		if _, ok := f.get(fieldStatement); ok {
			r.room += grantRoom
		}
		count, ok := f.get(fieldCount)
		if !ok {
			continue
		}
		if len(count) != countBytes || binary.BigEndian.Uint32(count) == 0 || binary.BigEndian.Uint32(count) > math.MaxInt32 {
			return malformed("a hit that counts %x", count)
		}
		r.room += runRoom(r.rules[r.rule(i)])
	}
	if len(tail) > 0 {
		return malformed("%d bytes behind %d hits of %d", len(tail), r.count, r.stride)
	}
	if r.room > maxReply {
		return malformed("an answer of up to %d bytes", r.room)
	}
	return nil
}

func (r *request) flags(i int) uint16 {
	return binary.BigEndian.Uint16(r.hits[i*r.stride+30:])
}

// rule is the place of the i-th hit's rule.
func (r *request) rule(i int) int {
	return int(binary.BigEndian.Uint16(r.hits[i*r.stride+28:]))
}

// hit reads the i-th hit to h, the one after the last that it was called for, and
// returns the time that its caller had left when it was sent.
func (r *request) hit(h *Hit, i int) (left time.Duration) {
	f := r.hits[i*r.stride:]
	flags := binary.BigEndian.Uint16(f[30:])
	*h = Hit{} // and field by field: a literal is made elsewhere and then copied
	h.Digest.Hi, h.Digest.Lo = binary.BigEndian.Uint64(f[0:]), binary.BigEndian.Uint64(f[8:])
	h.Rule, h.Tokens, h.Count = r.rules[r.rule(i)], int64(binary.BigEndian.Uint64(f[16:])), 1
	h.Orphan, h.Peek = flags&flagOrphan != 0, flags&flagPeek != 0
	if flags&flagFields != 0 {
		var own fields
		own, r.tail, _ = cutFields(r.tail) // it was checked
		if count, ok := own.get(fieldCount); ok {
			h.Count = int(binary.BigEndian.Uint32(count))
		}
		h.hear(own)
	}
	return time.Duration(binary.BigEndian.Uint32(f[24:])) * time.Microsecond
}
