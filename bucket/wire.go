package bucket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// termBytes is the size of one limit in AppendBinary's form: identity,
// algorithm, count, per and burst.
const termBytes = 8 + 1 + 8 + 8 + 8

// Set in the byte of the algorithm: alignedBit where windows are aligned,
// penaltyBit where it isn't a limit but a penalty.
const (
	alignedBit = 1 << 7
	penaltyBit = 1 << 6
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
const MaxRuleBytes = MaxLimits * termBytes

// DecodeRule makes a rule of what AppendBinary appended. It has no name, so it
// can't digest keys, but decides digests exactly as the original does. Anything
// that NewRule would refuse, it refuses too.
func DecodeRule(b []byte) (*Rule, error) {
	if len(b) == 0 || len(b) > MaxRuleBytes || len(b)%termBytes != 0 {
		return nil, errRuleEncoding
	}
	r := &Rule{mode: new(atomic.Uint32)}
	r.seal(b)
	for ; len(b) > 0; b = b[termBytes:] {
		l := Limit{
			Algorithm: Algorithm(b[8] &^ (alignedBit | penaltyBit)),
			Aligned:   b[8]&alignedBit != 0,
			Count:     int64(binary.BigEndian.Uint64(b[9:])),
			Per:       time.Duration(binary.BigEndian.Uint64(b[17:])),
			Burst:     int64(binary.BigEndian.Uint64(b[25:])),
		}
		penalty := b[8]&penaltyBit != 0
		if !penalty && r.plain < len(r.terms) || penalty && r.plain == 0 {
			return nil, fmt.Errorf("%w: penalties must follow limits", errRuleEncoding)
		}
		if err := (kind{l.Algorithm, penalty}).validate(l); err != nil {
			return nil, fmt.Errorf("%w: %w", errRuleEncoding, err)
		}
		id := binary.BigEndian.Uint64(b)
		if slices.ContainsFunc(r.terms, func(t term) bool { return t.id == id }) {
			return nil, fmt.Errorf("%w: two limits with one identity", errRuleEncoding)
		}
		r.limits = append(r.limits, l)
		r.terms = append(r.terms, newTerm(id, l.numbers()))
		if !penalty {
			r.plain++
		}
	}
	return r, nil
}

func appendTerms(b []byte, terms []term) []byte { return appendMarked(b, terms, 0) }

func appendPenalties(b []byte, terms []term) []byte { return appendMarked(b, terms, penaltyBit) }

// appendMarked appends the terms, with the mark among the bits of the algorithm.
func appendMarked(b []byte, terms []term, mark byte) []byte {
	for _, t := range terms {
		b = binary.BigEndian.AppendUint64(b, t.id)
		kind := byte(t.algorithm) | mark
		if t.numbers.aligned {
			kind |= alignedBit
		}
		b = append(b, kind)
		b = binary.BigEndian.AppendUint64(b, uint64(t.count))
		b = binary.BigEndian.AppendUint64(b, uint64(t.per))
		b = binary.BigEndian.AppendUint64(b, uint64(t.numbers.burst))
	}
	return b
}
