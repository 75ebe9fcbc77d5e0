package bucket

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

type unit struct {
	name   string
	length time.Duration
}

// units of the rate strings. A month is 30 days and a year 360, as in the
// Python package limits, whose strings these are.
var units = [...]unit{
	{"second", time.Second},
	{"minute", time.Minute},
	{"hour", time.Hour},
	{"day", Day},
	{"week", Week}, // only a calendar's
	{"month", Month},
	{"year", Year},
}

// ParseError says where in a rate string something is wrong.
type ParseError struct {
	Text    string // the whole rate string
	Offset  int    // in bytes, where the fault begins
	Problem string // what is wrong and what would be right
}

// Error implements error.
func (e *ParseError) Error() string {
	return fmt.Sprintf("bucket: rate string %q: at offset %d: %s", shorten(e.Text, 100), e.Offset, e.Problem)
}

// ParseLimits reads one or more limits in the notation of Flask-Limiter and
// limits: "10 per minute", "10/minute", "100 per 3 hours", several separated by
// comma, semicolon or bar. Units are second, minute, hour, day, month (30 days)
// and year (360 days), singular or plural, in any case; white space is free. A
// count may be anything that an int64 holds, 0 refusing everything; a multiple
// of 0 counts as 1.
//
// Words after the unit say how to count, in any order: the algorithm, which is
// token unless it is leaky, fixed, sliding or log; "burst 20" for the capacity of
// a token or leaky bucket; "aligned" for windows that follow the clock. So
// "100/hour sliding", "10/second burst 20", "5 per day fixed aligned". With
// "calendar" a day, week, month or year is that of the calendar, in UTC or "in"
// the time zone named after it: "1000/day calendar", "5 per month calendar in
// Europe/Berlin". Zones are those of the IANA database.
//
// "2 concurrent" isn't about a rate: at most 2 run at a time.
//
// Any error is a *ParseError.
func ParseLimits(s string) ([]Limit, error) {
	p := parser{text: s}
	return p.limits()
}

func (p *parser) limits() ([]Limit, error) {
	var limits []Limit
	for {
		l, err := p.limit()
		if err != nil {
			return nil, err
		}
		limits = append(limits, l)
		if p.skipSpace(); p.rest() == "" {
			return limits, nil
		}
		p.accept(":") // limits takes one before a separator, so there are strings with it
		if !p.accept(",") && !p.accept(";") && !p.accept("|") {
			return nil, p.fault("unexpected %s; separate limits by , or ;", p.next())
		}
	}
}

// parser reads a rate string from left to right.
type parser struct {
	text   string
	at     int
	ofRule bool // the text is a part of a rule's; windows may be written as Go's durations
}

func (p *parser) rest() string { return p.text[p.at:] }

// limit reads COUNT "concurrent", or COUNT ("/" | "per") [MULTIPLE] UNIT and words.
func (p *parser) limit() (Limit, error) {
	p.skipSpace()
	count, ok, err := p.number()
	if err != nil {
		return Limit{}, err
	}
	if !ok {
		return Limit{}, p.fault("expected a count, as in 10/minute, not %s%s", p.next(), p.named())
	}
	p.skipSpace()
	if p.accept(algorithmWords[Concurrent]) {
		return Limit{Algorithm: Concurrent, Count: count}, nil
	}
	if !p.accept("/") && !p.accept("per") {
		return Limit{}, p.fault("expected /, per or concurrent after the count, not %s", p.next())
	}
	p.skipSpace()
	l := Limit{Count: count}
	if per, ok := p.duration(); ok {
		l.Per = per
		return l, p.words(&l)
	}
	return l, p.window(&l)
}

// named is what to do about a name and a colon before a limit.
func (p *parser) named() string {
	if !p.ofRule || !strings.Contains(p.rest(), ":") {
		return ""
	}
	return aboutNames
}

// window reads [MULTIPLE] UNIT and words.
func (p *parser) window(l *Limit) error {
	start := p.at
	multiple, _, err := p.number()
	if err != nil {
		return err
	}
	p.skipSpace()
	length, err := p.unit()
	if err != nil {
		return err
	}
	multiple = max(multiple, 1)
	if multiple > math.MaxInt64/int64(length) {
		p.at = start
		return p.fault("the window is longer than 292 years")
	}
	l.Per = time.Duration(multiple) * length
	if err = p.words(l); err != nil {
		return err
	}
	switch {
	case l.Calendar && (multiple > 1 || length < Day):
		p.at = start
		return p.fault("expected day, week, month or year, which the calendar has, not %s", p.next())
	case length == Week && !l.Calendar:
		p.at = start
		return p.fault("expected second, minute, hour, day, month or year, not %s; weeks are the calendar's: 7 days, or week calendar", p.next())
	}
	return nil
}

// duration reads what time.ParseDuration does, but for numbers without a unit.
func (p *parser) duration() (d time.Duration, ok bool) {
	word := p.rest()
	if end := strings.IndexFunc(word, isSpace); end >= 0 {
		word = word[:end]
	}
	d, err := time.ParseDuration(word)
	if !p.ofRule || err != nil || strings.Trim(word, "+-0") == "" {
		return 0, false
	}
	p.at += len(word)
	return d, true
}

// words reads what follows the unit: how to count.
func (p *parser) words(l *Limit) error {
	chosen := false
	for p.skipSpace(); ; p.skipSpace() {
		start := p.at
		word := strings.ToLower(p.word())
		algorithm := slices.Index(algorithmWords[:Concurrent], word)
		switch {
		case word == "":
			return nil
		case algorithm >= 0 && !chosen:
			l.Algorithm, chosen = Algorithm(algorithm), true
		case word == "aligned":
			l.Aligned = true
		case word == "calendar":
			if l.Calendar = true; !chosen {
				l.Algorithm = FixedWindow
			}
		case word == "in":
			if err := p.zone(l); err != nil {
				return err
			}
		case word == "burst":
			p.skipSpace()
			burst, ok, err := p.number()
			if err != nil {
				return err
			}
			if !ok || burst == 0 {
				return p.fault("expected a number above 0 after burst, not %s", p.next())
			}
			l.Burst = burst
		default:
			p.at = start
			return p.fault("unexpected %s; after the unit may come token, leaky, fixed, sliding or log, burst and a number, aligned, calendar, in and a time zone, or a separator", p.next())
		}
	}
}

// zone reads the name of a time zone.
func (p *parser) zone(l *Limit) error {
	p.skipSpace()
	start := p.at
	l.Zone = zonePrefix(p.rest())
	p.at += len(l.Zone)
	with := Limit{Calendar: true, Zone: l.Zone}
	if _, err := with.location(); err != nil || l.Zone == "" || !isZoneName(l.Zone) {
		p.at = start
		given := p.next()
		if l.Zone != "" { // next would end at the slash
			given = fmt.Sprintf("%q", shorten(l.Zone, maxZone))
		}
		return p.fault("%s is no time zone that is known here; after in comes an IANA name, as Europe/Berlin or UTC", given)
	}
	return nil
}

// number reads ASCII digits; ok is false where there are none.
func (p *parser) number() (n int64, ok bool, err error) {
	start := p.at
	for ; p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9'; p.at++ {
		digit := int64(p.text[p.at] - '0')
		if n > (math.MaxInt64-digit)/10 {
			p.at = start
			return 0, false, p.fault("the number is above %d", int64(math.MaxInt64))
		}
		n = n*10 + digit
	}
	return n, p.at > start, nil
}

// unit reads a whole word of letters that names a unit.
func (p *parser) unit() (time.Duration, error) {
	start := p.at
	name := strings.ToLower(p.word())
	for _, u := range units {
		if name == u.name || name == u.name+"s" {
			return u.length, nil
		}
	}
	p.at = start
	return 0, p.fault("expected second, minute, hour, day, month or year, not %s", p.next())
}

// word reads ASCII letters.
func (p *parser) word() string {
	word := p.rest()
	if end := strings.IndexFunc(word, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' }); end >= 0 {
		word = word[:end]
	}
	p.at += len(word)
	return word
}

// accept consumes an ASCII token, in any case, if it comes next.
func (p *parser) accept(token string) bool {
	rest := p.rest()
	if len(rest) < len(token) || !strings.EqualFold(rest[:len(token)], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) skipSpace() {
	p.at += len(p.rest()) - len(strings.TrimLeftFunc(p.rest(), isSpace))
}

// isSpace is what a regular expression's \s matches in Python: Unicode's white
// space and the four ASCII separators.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f
}

// next describes what comes next, for an error.
func (p *parser) next() string {
	rest := p.rest()
	if rest == "" {
		return "the end"
	}
	if end := strings.IndexFunc(rest, func(r rune) bool { return isSpace(r) || strings.ContainsRune(",;|/", r) }); end > 0 {
		rest = rest[:end]
	}
	return fmt.Sprintf("%q", shorten(rest, 20))
}

// shorten cuts s to at most n bytes, between two runes.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func (p *parser) fault(format string, args ...any) error {
	return &ParseError{Text: p.text, Offset: p.at, Problem: fmt.Sprintf(format, args...)}
}
