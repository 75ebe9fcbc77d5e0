package bucket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// termBytes is the size of one limit in AppendBinary's form: identity,
// algorithm, flags, count, per and burst. That of a calendar goes on with the
// length of its zone's name and the name.
const (
	termBytes    = 8 + 1 + 1 + 8 + 8 + 8
	maxTermBytes = termBytes + 1 + maxZone
)

// The flags of a limit.
const (
	alignedFlag  = 1 << iota // its windows are aligned
	calendarFlag             // a zone follows
	penaltyFlag              // it isn't a limit but a penalty
	flagsEnd                 // no flag is as high
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
// that NewRule would refuse, it refuses too, also a time zone that is unknown here;
// and a Concurrent rule, which no store decides.
func DecodeRule(b []byte) (*Rule, error) {
	if len(b) == 0 || len(b) > MaxRuleBytes {
		return nil, errRuleEncoding
	}
	r := &Rule{shared: new(shared)}
	for wire := b; len(wire) > 0; {
		d, rest, err := decodeTerm(wire)
		switch {
		case err != nil:
			return nil, err
		case !d.penalty && r.plain < len(r.terms) || d.penalty && r.plain == 0:
			return nil, fmt.Errorf("%w: penalties must follow limits", errRuleEncoding)
		case slices.ContainsFunc(r.terms, func(known term) bool { return known.id == d.id }):
			return nil, fmt.Errorf("%w: two limits with one identity", errRuleEncoding)
		case len(r.terms) == MaxLimits:
			return nil, fmt.Errorf("%w: more than %d limits", errRuleEncoding, MaxLimits)
		}
		r.limits = append(r.limits, d.limit)
		r.terms = append(r.terms, d.term)
		if wire = rest; !d.penalty {
			r.plain++
		}
	}
	r.seal(b)
	return r, nil
}

// decoded is a limit that has been found right.
type decoded struct {
	term
	limit   Limit
	penalty bool
}

// decodeTerm reads one limit, and returns what comes after it.
func decodeTerm(b []byte) (d decoded, rest []byte, err error) {
	if len(b) < termBytes {
		return d, nil, errRuleEncoding
	}
	flags := b[9]
	l := Limit{
		Algorithm: Algorithm(b[8]),
		Aligned:   flags&alignedFlag != 0,
		Calendar:  flags&calendarFlag != 0,
		Count:     int64(binary.BigEndian.Uint64(b[10:])),
		Per:       time.Duration(binary.BigEndian.Uint64(b[18:])),
		Burst:     int64(binary.BigEndian.Uint64(b[26:])),
	}
	rest = b[termBytes:]
	if l.Calendar {
		if len(rest) == 0 || len(rest)-1 < int(rest[0]) {
			return d, nil, errRuleEncoding
		}
		l.Zone, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	}
	k := kind{l.Algorithm, flags&penaltyFlag != 0}
	zone, err := k.check(l)
	switch {
	case err != nil:
		return d, nil, fmt.Errorf("%w: %w", errRuleEncoding, err)
	case l.Algorithm == Concurrent:
		return d, nil, fmt.Errorf("%w: it limits what runs at a time, which no store decides", errRuleEncoding)
	case flags >= flagsEnd:
		return d, nil, fmt.Errorf("%w: unknown flags %#x", errRuleEncoding, flags)
	case l.Zone != l.zone(): // one form for each rule
		return d, nil, fmt.Errorf("%w: UTC has no name here", errRuleEncoding)
	}
	return decoded{newTerm(binary.BigEndian.Uint64(b), l.numbers(), zone), l, k.penalty}, rest, nil
}

func appendTerm(b []byte, t *term, penalty bool) []byte {
	b = binary.BigEndian.AppendUint64(b, t.id)
	flags := byte(0)
	if t.numbers.aligned {
		flags |= alignedFlag
	}
	if t.calendar {
		flags |= calendarFlag
	}
	if penalty {
		flags |= penaltyFlag
	}
	b = append(b, byte(t.algorithm), flags)
	b = binary.BigEndian.AppendUint64(b, uint64(t.count))
	b = binary.BigEndian.AppendUint64(b, uint64(t.per))
	b = binary.BigEndian.AppendUint64(b, uint64(t.numbers.burst))
	if t.calendar {
		b = append(append(b, byte(len(t.numbers.zone))), t.numbers.zone...)
	}
	return b
}
