package bucket

import "fmt"

// MarshalText returns the limit as a rate string that UnmarshalText reads back,
// as "10 per 1 minute sliding". It implements encoding.TextMarshaler, so limits
// can stand in JSON and YAML. The error says what of the limit no rate string can
// hold: its name, or a window that isn't whole seconds. A Rule's text can.
func (l Limit) MarshalText() ([]byte, error) {
	text := l.text()
	if l.Name != "" {
		return nil, fmt.Errorf("bucket: limit %q: field Name is %q, which no rate string holds; leave it empty, or write the limit as part of a Rule", text, l.Name)
	}
	if limits, err := ParseLimits(text); err == nil && limits[0].numbers() == l.numbers() {
		return []byte(text), nil
	}
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("bucket: limit %q: %w", text, err)
	}
	return nil, fmt.Errorf("bucket: limit %q: field Per is %v, field Zone %q: a rate string holds whole seconds and zones that are known here; write the limit as part of a Rule", text, l.Per, l.Zone)
}

// UnmarshalText reads a rate string of exactly one limit. It implements
// encoding.TextUnmarshaler. The error is that of ParseLimits, or says how many
// limits there are.
func (l *Limit) UnmarshalText(text []byte) error {
	limits, err := ParseLimits(string(text))
	if err != nil {
		return err
	}
	if len(limits) != 1 {
		return fmt.Errorf("bucket: rate string %q has %d limits where one is wanted", shorten(string(text), 100), len(limits))
	}
	*l = limits[0]
	return nil
}

// Set is UnmarshalText, so that a *Limit is a flag.Value.
func (l *Limit) Set(s string) error { return l.UnmarshalText([]byte(s)) }
