package bucket

import (
	"errors"
	"fmt"
	"slices"
)

// Mode says what becomes of a rule's decisions. The zero value is Enforce.
type Mode uint8

const (
	// Enforce refuses what is over the limit.
	Enforce Mode = iota
	// Shadow decides and counts as Enforce does, but lets everything pass, and
	// at once; Decision.WouldRefuse tells what Enforce would have done.
	Shadow
	// Off neither decides nor counts: everything passes.
	Off
)

var modeWords = [...]string{Enforce: "enforce", Shadow: "shadow", Off: "off"}

// String returns the mode's name in lower case.
func (m Mode) String() string {
	if int(m) < len(modeWords) {
		return modeWords[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// MarshalText returns the mode's name. It implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads enforce, shadow or off. It implements
// encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeWords[:], string(text))
	if i < 0 {
		return fmt.Errorf("bucket: unknown mode %q; choose enforce, shadow or off", shorten(string(text), 20))
	}
	*m = Mode(i)
	return nil
}

// Set is UnmarshalText, so that a *Mode is a flag.Value.
func (m *Mode) Set(s string) error { return m.UnmarshalText([]byte(s)) }

func (m Mode) validate() error {
	if m > Off {
		return fmt.Errorf("unknown mode %d; choose Enforce, Shadow or Off", uint8(m))
	}
	return nil
}

// WithMode sets the mode to begin with. The default is Enforce.
func WithMode(m Mode) RuleOption {
	return func(r *Rule) error {
		if err := m.validate(); err != nil {
			return err
		}
		r.shared.mode.Store(uint32(m))
		return nil
	}
}

// Mode returns the rule's mode of this moment.
func (r *Rule) Mode() Mode {
	if r.shared == nil {
		return Enforce
	}
	return Mode(r.shared.mode.Load())
}

// SetMode changes the rule's mode while it is in use. It is this process's alone:
// it isn't part of what AppendBinary appends, and whoever holds the state decides
// the same in every mode; the mode is what this process makes of the verdicts.
// An error says that there is no such mode, or that the Rule is the zero one.
func (r *Rule) SetMode(m Mode) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("bucket: rule %q: %w", r.name, err)
	}
	if r.shared == nil {
		return errors.New("bucket: the rule is empty; make one with NewRule")
	}
	r.shared.mode.Store(uint32(m))
	return nil
}

// off is the decision while the rule is off: as of a key nobody has touched.
func (r *Rule) off() Decision {
	least := r.limits[0]
	for _, l := range r.limits[1:r.plain] {
		if l.Capacity() < least.Capacity() {
			least = l
		}
	}
	return Decision{Allowed: true, Limit: least, Remaining: least.Capacity()}
}
