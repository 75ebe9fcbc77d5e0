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
	if int(p) < len(policyWords) {
		return policyWords[p]
	}
	return fmt.Sprintf("failure policy %d", uint8(p))
}

// MarshalText returns the policy's name. It implements encoding.TextMarshaler.
func (p FailurePolicy) MarshalText() ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads local share, allow or deny, in any case and however far apart.
// It implements encoding.TextUnmarshaler.
func (p *FailurePolicy) UnmarshalText(text []byte) error {
	i := slices.Index(policyWords[:], strings.ToLower(strings.Join(strings.Fields(string(text)), " ")))
	if i < 0 {
		return fmt.Errorf("bucket: unknown failure policy %q; choose local share, allow or deny", shorten(string(text), 20))
	}
	*p = FailurePolicy(i)
	return nil
}

// Set is UnmarshalText, so that a *FailurePolicy is a flag.Value.
func (p *FailurePolicy) Set(s string) error { return p.UnmarshalText([]byte(s)) }

func (p FailurePolicy) validate() error {
	if p > Deny {
		return fmt.Errorf("unknown failure policy %d; choose LocalShare, Allow or Deny", uint8(p))
	}
	return nil
}

// Rule is a name and one to eight limits that are charged together, or one that is
// Concurrent. It is
// immutable, but for its Mode, and safe for concurrent use. The zero Rule is good
// for nothing but UnmarshalText, and so a variable for a flag.
//
// The name is the identity: two rules of one name share the state of their
// keys, in one process and between replicas. Within a rule a limit is known by
// its own name or, without one, by its algorithm and its place among the
// unnamed ones of that algorithm; never by its numbers. So numbers can be
// changed, and limits added, while hits come in, and what was consumed is kept.
type Rule struct {
	name   string
	limits []Limit // the penalties last
	terms  []term  // of the limits, in their order
	plain  int     // that many are limits, the others penalties
	policy FailurePolicy
	shared *shared // with all copies of the Rule
	wire   string  // AppendBinary's
	print  uint32  // of wire, for receipts
	hash   uint32  // of name
	single bool    // one token bucket is all there is,
	grain  uint8   // and in these its receipts count
}

// numbers are what tells two limits apart in a Store: all but the name.
type numbers struct {
	algorithm         Algorithm
	aligned, calendar bool
	count, per, burst int64
	zone              string // of a calendar
}

// same is ==, and cheaper where there is no calendar.
func (n *numbers) same(m *numbers) bool {
	return n.count == m.count && n.per == m.per && n.burst == m.burst &&
		n.algorithm == m.algorithm && n.aligned == m.aligned && n.calendar == m.calendar &&
		(!n.calendar || n.zone == m.zone)
}

func (l Limit) numbers() numbers {
	burst := l.Capacity()
	if l.Algorithm == Concurrent { // a store has nothing to give, so it refuses everything
		burst = l.Burst // which is 0
	}
	return numbers{l.Algorithm, l.Aligned, l.Calendar, l.Count, int64(l.Per), burst, l.zone()}
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
		if err := p.validate(); err != nil {
			return err
		}
		r.policy = p
		return nil
	}
}

// NewRule makes a rule of 1 to MaxLimits limits, penalties included, or of one that
// is Concurrent. The name is required, at most 256 bytes. The error names everything
// that is wrong.
func NewRule(name string, limits []Limit, opts ...RuleOption) (*Rule, error) {
	r := &Rule{name: name, limits: slices.Clone(limits), plain: len(limits), shared: new(shared)}
	var errs []error
	if name == "" {
		errs = append(errs, errors.New("the name is empty; it is the identity of the rule's state"))
	}
	if len(name) > maxRuleName {
		errs = append(errs, fmt.Errorf("the name has %d bytes; at most %d", len(name), maxRuleName))
	}
	for _, opt := range opts {
		if opt == nil {
			errs = append(errs, errors.New("an option is nil"))
			continue
		}
		errs = append(errs, opt(r))
	}
	errs = append(errs, r.makeTerms())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("bucket: rule %q: %w", name, err)
	}
	var wire []byte
	for i := range r.terms {
		wire = appendTerm(wire, &r.terms[i], i >= r.plain)
	}
	r.seal(wire)
	return r, nil
}

// MustRule is ParseRule for rules that are part of a program's text. It panics
// where that returns an error.
func MustRule(name, limits string, opts ...RuleOption) *Rule {
	r, err := ParseRule(name, limits, opts...)
	if err != nil {
		panic(err)
	}
	return r
}

// Name returns the rule's name.
func (r *Rule) Name() string { return r.name }

// NameHash returns a hash of the name, made with the rule: for tables of rules that
// are looked up with every hit. Names of one hash may differ.
func (r *Rule) NameHash() uint32 { return r.hash }

// Limits returns a copy of the rule's limits, in the order given and without
// the penalties.
func (r *Rule) Limits() []Limit { return slices.Clone(r.limits[:r.plain]) }

// Capacity returns the number of tokens that an idle key may take at once: the
// smallest capacity among the limits.
func (r *Rule) Capacity() int64 {
	c := r.limits[0].Capacity()
	for _, l := range r.limits[1:r.plain] {
		c = min(c, l.Capacity())
	}
	return c
}

// FailurePolicy returns what happens when the holder of the state is silent.
func (r *Rule) FailurePolicy() FailurePolicy { return r.policy }

// makeTerms validates the limits and makes them ready.
func (r *Rule) makeTerms() error {
	switch {
	case r.plain == 0:
		return fmt.Errorf("0 limits; a rule has 1 to %d", MaxLimits)
	case len(r.limits) > MaxLimits:
		return fmt.Errorf("%d limits; a rule has 1 to %d, penalties included", len(r.limits), MaxLimits)
	}
	errs := []error{r.validateConcurrent()}
	places := map[kind]int{}
	names := map[string]int{}
	for i, l := range r.limits {
		k := kind{l.Algorithm, i >= r.plain}
		zone, err := k.check(l)
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %d: %w", i+1, err))
			continue
		}
		if first, used := names[l.Name]; used && l.Name != "" {
			errs = append(errs, fmt.Errorf("limits %d and %d are both named %q", first+1, i+1, l.Name))
		}
		names[l.Name] = i
		r.terms = append(r.terms, newTerm(k.identity(r.name, l.Name, places[k]), l.numbers(), zone))
		if l.Name == "" {
			places[k]++
		}
	}
	return errors.Join(errs...)
}

func newTerm(id uint64, n numbers, zone *time.Location) term {
	t := term{id: id, numbers: n}
	switch {
	case n.algorithm == Concurrent:
	case t.windowed():
		t.window = window{count: uint64(n.count), per: n.per, aligned: n.aligned, zone: zone}
	default:
		t.gcra = newGCRA(n)
	}
	return t
}

// seal keeps what AppendBinary appends.
func (r *Rule) seal(wire []byte) {
	r.wire, r.print, r.hash = string(wire), sum(wire), sum([]byte(r.name))
	if r.single = len(r.terms) == 1 && r.terms[0].algorithm == TokenBucket; r.single {
		r.grain = uint8(r.terms[0].gcra.grain(width(1)))
	}
}

func sum(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32()
}

// shares divides the terms among replicas, in the space given.
func (r *Rule) shares(space []term, replicas int) []term {
	terms := space[:len(r.terms)]
	for i := range terms {
		terms[i] = r.terms[i].share(replicas)
	}
	return terms
}

// shareprint is the print of the rule's shares.
func (r *Rule) shareprint(replicas int) uint32 {
	return r.print ^ uint32(max(replicas, 1)-1)*0x9e3779b1
}
