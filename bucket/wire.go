package bucket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// termBytes is the size of one limit in AppendBinary's form: identity,
// algorithm, count, per and burst. That of a calendar goes on with the length of
// its zone's name and the name.
const (
	termBytes    = 8 + 1 + 8 + 8 + 8
	maxTermBytes = termBytes + 1 + maxZone
)

// These are set in the byte of the algorithm.
const (
	alignedBit  = 1 << 7
	calendarBit = 1 << 6
)

var errRuleEncoding = errors.New("bucket: malformed encoding of a rule")

// AppendBinary appends what the owner of a key needs to decide by this rule:
// the identities and numbers of its limits, in big-endian order, and no names.
// It implements encoding.BinaryAppender and never fails.
func (r *Rule) AppendBinary(b []byte) ([]byte, error) {
	return append(b, r.wire...), nil
}

// Equivalent reports whether both rules decide every digest alike: AppendBinary
// appends the same for both.
func (r *Rule) Equivalent(other *Rule) bool { return r.wire == other.wire }

// BinarySize is the number of bytes that AppendBinary appends, at most
// MaxRuleBytes.
func (r *Rule) BinarySize() int { return len(r.wire) }

// MaxRuleBytes is the largest BinarySize.
const MaxRuleBytes = MaxLimits * maxTermBytes

// DecodeRule makes a rule of what AppendBinary appended. It has no name, so it
// can't digest keys, but decides digests exactly as the original does. Anything
// that NewRule would refuse, it refuses too, also a time zone that is unknown here.
func DecodeRule(b []byte) (*Rule, error) {
	if len(b) == 0 || len(b) > MaxRuleBytes {
		return nil, errRuleEncoding
	}
	r := &Rule{wire: string(b)}
	for len(b) > 0 {
		t, l, rest, err := decodeTerm(b)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(r.terms, func(known term) bool { return known.id == t.id }) {
			return nil, fmt.Errorf("%w: two limits with one identity", errRuleEncoding)
		}
		r.limits = append(r.limits, l)
		r.terms = append(r.terms, t)
		b = rest
	}
	if len(r.terms) > MaxLimits {
		return nil, errRuleEncoding
	}
	return r, nil
}

// decodeTerm reads one limit, and returns what comes after it.
func decodeTerm(b []byte) (t term, l Limit, rest []byte, err error) {
	if len(b) < termBytes {
		return t, l, nil, errRuleEncoding
	}
	l = Limit{
		Algorithm: Algorithm(b[8] &^ (alignedBit | calendarBit)),
		Aligned:   b[8]&alignedBit != 0,
		Calendar:  b[8]&calendarBit != 0,
		Count:     int64(binary.BigEndian.Uint64(b[9:])),
		Per:       time.Duration(binary.BigEndian.Uint64(b[17:])),
		Burst:     int64(binary.BigEndian.Uint64(b[25:])),
	}
	rest = b[termBytes:]
	if l.Calendar {
		if len(rest) == 0 || len(rest)-1 < int(rest[0]) {
			return t, l, nil, errRuleEncoding
		}
		l.Zone, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	}
	zone, err := l.location()
	if err = errors.Join(l.validate(), err); err == nil && l.Zone != l.zone() {
		err = errors.New("UTC has no name here") // one form for each rule
	}
	if err != nil {
		return t, l, nil, fmt.Errorf("%w: %w", errRuleEncoding, err)
	}
	return newTerm(binary.BigEndian.Uint64(b), l.numbers(), zone), l, rest, nil
}

func appendTerm(b []byte, t *term) []byte {
	b = binary.BigEndian.AppendUint64(b, t.id)
	kind := byte(t.algorithm)
	if t.numbers.aligned {
		kind |= alignedBit
	}
	if t.calendar {
		kind |= calendarBit
	}
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(t.count))
	b = binary.BigEndian.AppendUint64(b, uint64(t.per))
	b = binary.BigEndian.AppendUint64(b, uint64(t.numbers.burst))
	if t.calendar {
		b = append(append(b, byte(len(t.numbers.zone))), t.numbers.zone...)
	}
	return b
}
