package bucket

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// policyWords are the failure policies as rules in text have them.
var policyWords = [...]string{LocalShare: "local share", Allow: "allow", Deny: "deny"}

// String returns the rule in the form of MarshalText; "" for the zero Rule.
func (r *Rule) String() string {
	if r == nil || len(r.limits) == 0 {
		return ""
	}
	items := make([]string, 0, len(r.limits)+2)
	for i, l := range r.limits {
		item := ""
		if i >= r.plain {
			item = "penalty "
		}
		if l.Name != "" {
			item += quoteName(l.Name) + " = "
		}
		items = append(items, item+l.text())
	}
	if r.policy != LocalShare {
		items = append(items, "policy "+r.policy.String())
	}
	if m := r.Mode(); m != Enforce {
		items = append(items, "mode "+m.String())
	}
	return quoteName(r.name) + ": " + strings.Join(items, "; ")
}

// MarshalText returns the rule in one line, as
//
//	login: 5 per 1 second; daily = 100 per 1 day fixed; penalty 20 per 1 hour; policy deny; mode shadow
//
// that is: its name and a colon, then the limits and penalties as rate strings,
// each after its name and an equals sign if it has one, then the failure policy and
// the mode of the moment, where they aren't the default. It implements
// encoding.TextMarshaler, so rules can stand in flags, JSON and YAML. UnmarshalText
// reads the same rule back. The zero Rule, and one from DecodeRule, which has no
// name, are errors.
func (r Rule) MarshalText() ([]byte, error) {
	if r.name == "" || len(r.limits) == 0 {
		return nil, errors.New("bucket: a rule without a name has no text; make it with NewRule")
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads the form of MarshalText, where limits may be written as
// ParseLimits has them, in any order, and separated by comma or bar as well. Names
// with a character that means something here are quoted as in Go: "a;b". Besides
// rate strings' windows it knows those that time.ParseDuration reads: 5 per 100ms,
// 5/1h30m. It implements encoding.TextUnmarshaler. The error says which part
// is wrong, and joins all that NewRule finds; the Rule is as before then.
//
// It makes another rule of r, with a mode of its own: not while r is in use.
func (r *Rule) UnmarshalText(text []byte) error {
	read, err := parseRule(string(text))
	if err != nil {
		return err
	}
	*r = *read
	return nil
}

// Set is UnmarshalText, so that a *Rule is a flag.Value.
func (r *Rule) Set(s string) error { return r.UnmarshalText([]byte(s)) }

// ruleParts is what a rule in text says so far.
type ruleParts struct {
	limits       []Limit
	opts         []RuleOption
	policy, mode bool // said already
}

// parseRule reads a name and what ParseRule reads.
func parseRule(text string) (*Rule, error) {
	name, rest, err := cutName(text, ":")
	if err != nil {
		return nil, fmt.Errorf("bucket: rule %q: %w", shorten(text, 100), err)
	}
	if name == "" {
		return nil, fmt.Errorf("bucket: rule %q has no name; write it before the limits and a colon, as in login: 5/second", shorten(text, 100))
	}
	return ParseRule(name, rest)
}

// ParseRule makes a rule of what MarshalText has after the name and the colon, as
// "5/second; penalty 20/hour; policy deny", and of further options. The error says
// which part of the text is wrong, or joins all that NewRule finds.
func ParseRule(name, text string, opts ...RuleOption) (*Rule, error) {
	var parts ruleParts
	var errs []error
	for i, more := 1, true; more; i++ {
		var item string
		if item, text, more = cutItem(text); more {
			item = strings.TrimSuffix(strings.TrimSpace(item), ":") // as ParseLimits lets it stand there
		}
		if err := parts.add(item); err != nil {
			errs = append(errs, fmt.Errorf("bucket: rule %q: part %d: %w", shorten(name, 100), i, partError{err}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return NewRule(name, parts.limits, append(parts.opts, opts...)...)
}

// partError is an error about a part of a text, within one that has said already whose
// it is.
type partError struct{ error }

func (e partError) Error() string { return strings.TrimPrefix(e.error.Error(), "bucket: ") }

func (e partError) Unwrap() error { return e.error }

// add reads what stands between two separators.
func (p *ruleParts) add(item string) error {
	item = strings.TrimSpace(item)
	word, rest, _ := strings.Cut(item, " ")
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "=") { // a name that happens to be one of the words
		word = ""
	}
	switch strings.ToLower(word) {
	case "policy":
		var policy FailurePolicy
		if err := policy.Set(rest); err != nil || p.policy {
			return fmt.Errorf("policy %q; give one of local share, allow and deny, once", shorten(rest, 20))
		}
		p.policy = true
		p.opts = append(p.opts, WithFailurePolicy(policy))
	case "mode":
		var m Mode
		if err := m.Set(strings.ToLower(rest)); err != nil || p.mode {
			return fmt.Errorf("mode %q; give one of enforce, shadow and off, once", shorten(rest, 20))
		}
		p.mode = true
		p.opts = append(p.opts, WithMode(m))
	case "penalty":
		l, err := parseNamed(rest)
		if err != nil {
			return err
		}
		p.opts = append(p.opts, WithPenalty(l))
	default:
		l, err := parseNamed(item)
		if err != nil {
			return err
		}
		p.limits = append(p.limits, l)
	}
	return nil
}

// aboutNames follows what is said of a colon where a limit was expected.
const aboutNames = "; the rule's name is given apart, as the first argument of ParseRule, and a limit's own is followed by =, as in daily = 100/day"

// parseNamed reads [NAME "="] RATE.
func parseNamed(s string) (l Limit, err error) {
	name, rate, err := cutName(s, "=")
	if err != nil {
		return Limit{}, err
	}
	if strings.Contains(name, ":") && !strings.HasPrefix(s, `"`) {
		return Limit{}, fmt.Errorf("the name %q has a colon, so it must be quoted%s", shorten(name, 20), aboutNames)
	}
	p := parser{text: strings.TrimSpace(rate), ofRule: true}
	limits, err := p.limits()
	if err != nil {
		return Limit{}, err
	}
	l = limits[0] // the only one, as no separator is left
	l.Name = name
	return l, nil
}

// cutName cuts a name off s that stands before the mark, quoted or not; name is ""
// where there is none.
func cutName(s, mark string) (name, rest string, err error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, `"`) {
		before, after, found := strings.Cut(s, mark)
		if !found {
			return "", s, nil
		}
		return strings.TrimSpace(before), after, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("the quoted name at %q has no end, or isn't as in Go", shorten(s, 20))
	}
	if name, err = strconv.Unquote(quoted); err != nil {
		return "", "", err
	}
	rest, found := strings.CutPrefix(strings.TrimSpace(s[len(quoted):]), mark)
	if !found {
		return "", "", fmt.Errorf("the name %s must be followed by %s", shorten(quoted, 20), mark)
	}
	return name, rest, nil
}

// cutItem cuts s at the first separator outside of quotes.
func cutItem(s string) (item, rest string, more bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && strings.IndexByte(",;|", s[i]) >= 0:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// quoteName returns the name, in quotes unless it can do without.
func quoteName(name string) string {
	plain := name != "" && name == strings.TrimSpace(name) && isPrintableASCII(name) && !strings.ContainsAny(name, `"\:=,;|`)
	first, _, _ := strings.Cut(strings.ToLower(name), " ")
	if !plain || first == "penalty" || first == "policy" || first == "mode" {
		return strconv.Quote(name)
	}
	return name
}
