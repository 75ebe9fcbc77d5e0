package bucket

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// MaxLimits is the largest number of limits in one rule.
const MaxLimits = 8

// maxRuleName bounds the names of rules, in bytes.
const maxRuleName = 256

// FailurePolicy says what a rule's hits get when the replica that holds their
// state doesn't answer in time. The zero value is LocalShare.
type FailurePolicy uint8

const (
	// LocalShare decides on the spot, by a limit divided by the number of
	// replicas: its rate exactly, or a window's count rounded down, and its burst;
	// though never below one token.
	LocalShare FailurePolicy = iota
	// Allow lets everything pass.
	Allow
	// Deny refuses everything.
	Deny
)

// String returns the policy's name in lower case.
func (p FailurePolicy) String() string {
	switch p {
	case LocalShare:
		return "local share"
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return fmt.Sprintf("failure policy %d", uint8(p))
}

// Rule is a name and one to eight limits that are charged together. It is
// immutable and safe for concurrent use.
//
// The name is the identity: two rules of one name share the state of their
// keys, in one process and between replicas. Within a rule a limit is known by
// its own name or, without one, by its algorithm and its place among the
// unnamed ones of that algorithm; never by its numbers. So numbers can be
// changed, and limits added, while hits come in, and what was consumed is kept.
type Rule struct {
	name   string
	limits []Limit
	terms  []term
	policy FailurePolicy
	wire   string // AppendBinary's
}

// numbers are what tells two limits apart in a Store: all but the name.
type numbers struct {
	algorithm         Algorithm
	aligned, calendar bool
	count, per, burst int64
	zone              string // of a calendar
}

func (l Limit) numbers() numbers {
	return numbers{l.Algorithm, l.Aligned, l.Calendar, l.Count, int64(l.Per), l.Capacity(), l.zone()}
}

// term is one limit of a rule as the store sees it.
type term struct {
	id uint64 // tells the states of a rule's limits apart
	numbers
	gcra          // of a TokenBucket or LeakyBucket
	window window // of the others
}

// RuleOption changes one setting of a rule that is being made.
type RuleOption func(*Rule) error

// WithFailurePolicy sets what happens when the holder of the state doesn't
// answer in time. The default is LocalShare.
func WithFailurePolicy(p FailurePolicy) RuleOption {
	return func(r *Rule) error {
		if p > Deny {
			return fmt.Errorf("unknown failure policy %d; choose LocalShare, Allow or Deny", uint8(p))
		}
		r.policy = p
		return nil
	}
}

// NewRule makes a rule of 1 to MaxLimits limits. The name is required, at most
// 256 bytes. The error names everything that is wrong.
func NewRule(name string, limits []Limit, opts ...RuleOption) (*Rule, error) {
	r := &Rule{name: name, limits: slices.Clone(limits)}
	var errs []error
	if name == "" {
		errs = append(errs, errors.New("the name is empty; it is the identity of the rule's state"))
	}
	if len(name) > maxRuleName {
		errs = append(errs, fmt.Errorf("the name has %d bytes; at most %d", len(name), maxRuleName))
	}
	errs = append(errs, r.makeTerms())
	for _, opt := range opts {
		if opt == nil {
			errs = append(errs, errors.New("an option is nil"))
			continue
		}
		errs = append(errs, opt(r))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("bucket: rule %q: %w", name, err)
	}
	var wire []byte
	for i := range r.terms {
		wire = appendTerm(wire, &r.terms[i])
	}
	r.wire = string(wire)
	return r, nil
}

// MustRule is NewRule over ParseLimits for rules that are part of a program's
// text. It panics where they return an error.
func MustRule(name, limits string, opts ...RuleOption) *Rule {
	parsed, err := ParseLimits(limits)
	if err != nil {
		panic(err)
	}
	r, err := NewRule(name, parsed, opts...)
	if err != nil {
		panic(err)
	}
	return r
}

// Name returns the rule's name.
func (r *Rule) Name() string { return r.name }

// Limits returns a copy of the rule's limits, in the order given.
func (r *Rule) Limits() []Limit { return slices.Clone(r.limits) }

// Capacity returns the number of tokens that an idle key may take at once: the
// smallest capacity among the limits.
func (r *Rule) Capacity() int64 {
	c := r.limits[0].Capacity()
	for _, l := range r.limits[1:] {
		c = min(c, l.Capacity())
	}
	return c
}

// FailurePolicy returns what happens when the holder of the state is silent.
func (r *Rule) FailurePolicy() FailurePolicy { return r.policy }

// String returns the name and the limits, as "login: 5 per 1 second; 100 per 1 hour".
func (r *Rule) String() string {
	texts := make([]string, len(r.limits))
	for i, l := range r.limits {
		texts[i] = l.String()
	}
	return r.name + ": " + strings.Join(texts, "; ")
}

// makeTerms validates the limits and makes them ready.
func (r *Rule) makeTerms() error {
	if len(r.limits) == 0 || len(r.limits) > MaxLimits {
		return fmt.Errorf("%d limits; a rule has 1 to %d", len(r.limits), MaxLimits)
	}
	var errs []error
	places := map[Algorithm]int{}
	names := map[string]int{}
	for i, l := range r.limits {
		zone, err := l.location()
		if err := errors.Join(l.validate(), err); err != nil {
			errs = append(errs, fmt.Errorf("limit %d: %w", i+1, err))
			continue
		}
		if first, used := names[l.Name]; used && l.Name != "" {
			errs = append(errs, fmt.Errorf("limits %d and %d are both named %q", first+1, i+1, l.Name))
		}
		names[l.Name] = i
		r.terms = append(r.terms, newTerm(l.identity(places[l.Algorithm]), l.numbers(), zone))
		if l.Name == "" {
			places[l.Algorithm]++
		}
	}
	return errors.Join(errs...)
}

func newTerm(id uint64, n numbers, zone *time.Location) term {
	t := term{id: id, numbers: n}
	if n.algorithm.windows() > 0 {
		t.window = window{count: uint64(n.count), per: n.per, aligned: n.aligned, zone: zone}
	} else {
		t.gcra = newGCRA(n)
	}
	return t
}

// identity is what tells the limit's state from those of the rule's others:
// its name, or else its algorithm and place. It is combined with a keyed digest
// and need not be secret.
func (l Limit) identity(place int) uint64 {
	h := fnv.New64a()
	if l.Name != "" {
		h.Write([]byte(l.Name))
	} else {
		h.Write([]byte{0, byte(l.Algorithm), byte(place)}) // no name starts with 0
	}
	return h.Sum64()
}
