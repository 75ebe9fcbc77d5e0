package httpmw_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// item is a structured-field string with integer parameters.
type item struct {
	value  string
	params map[string]int64
}

// parseList reads a non-empty List of Strings with Integer parameters, by the
// algorithms of RFC 9651, 4.2. It is stricter in that a parameter must have a
// value and must not come twice.
func parseList(s string) ([]item, error) {
	p := &sfv{rest: strings.Trim(s, " ")}
	var items []item
	for {
		it, err := p.item()
		if err != nil {
			return nil, fmt.Errorf("%q, before %q: %w", s, p.rest, err)
		}
		items = append(items, it)
		p.rest = strings.TrimLeft(p.rest, " \t")
		if p.rest == "" {
			return items, nil
		}
		if !p.accept(',') {
			return nil, fmt.Errorf("%q: %q instead of a comma", s, p.rest)
		}
		p.rest = strings.TrimLeft(p.rest, " \t") // what comes now must be an item
	}
}

type sfv struct{ rest string }

func (p *sfv) accept(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *sfv) item() (item, error) {
	value, err := p.text()
	it := item{value, map[string]int64{}}
	for err == nil && p.accept(';') {
		p.rest = strings.TrimLeft(p.rest, " ")
		key := p.span(func(c byte) bool {
			return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_-.*", c) >= 0
		})
		if key == "" || key[0] != '*' && (key[0] < 'a' || key[0] > 'z') {
			return it, fmt.Errorf("%q is no parameter's name", key)
		}
		if _, twice := it.params[key]; twice || !p.accept('=') {
			return it, fmt.Errorf("parameter %s has no value, or two", key)
		}
		it.params[key], err = p.integer()
	}
	return it, err
}

func (p *sfv) text() (string, error) {
	if !p.accept('"') {
		return "", errors.New("not a string")
	}
	var b strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '"':
			return b.String(), nil
		case c < ' ' || c > '~':
			return "", fmt.Errorf("byte %#x in a string", c)
		case c == '\\':
			if p.rest == "" || p.rest[0] != '"' && p.rest[0] != '\\' {
				return "", errors.New("a backslash before neither a quote nor a backslash")
			}
			c = p.rest[0]
			p.rest = p.rest[1:]
		}
		b.WriteByte(c)
	}
	return "", errors.New("the string doesn't end")
}

func (p *sfv) integer() (int64, error) {
	sign := ""
	if p.accept('-') {
		sign = "-"
	}
	digits := p.span(func(c byte) bool { return '0' <= c && c <= '9' })
	if digits == "" || len(digits) > 15 || strings.HasPrefix(p.rest, ".") {
		return 0, fmt.Errorf("%q is no integer of 1 to 15 digits", digits)
	}
	return strconv.ParseInt(sign+digits, 10, 64)
}

// span takes the bytes that in wants.
func (p *sfv) span(in func(byte) bool) string {
	n := 0
	for n < len(p.rest) && in(p.rest[n]) {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

// TestParseList checks the checker.
func TestParseList(t *testing.T) {
	for _, s := range []string{
		`"a"`, `"";q=1`, ` "a";q=1;w=60 `, "\"a\" ,\t\"b\";r=-5", `"a";  q=999999999999999`, `"\"\\";*x_-.*9=0`,
	} {
		if _, err := parseList(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{
		``, ` `, `,`, `"a",`, `"a", `, `,"a"`, `"a" "b"`, `"a"; q`, `"a";q`, `"a";q=`, `"a";q=x`, `"a";q="x"`, `"a";q=1.0`, `"a";q=1;q=2`,
		`"a";Q=1`, `"a";1=1`, `"a";=1`, `"a";;q=1`, `"a" ;q=1`, `"a";q =1`, `"a";q= 1`, `"a";q=1000000000000000`, `"a";q=--1`, `"a";q=+1`,
		`a;q=1`, `1`, `("a")`, `:YQ==:`, `"a`, `"a\"`, `"a\`, `"\a"`, `"é"`, "\"\x7f\"", "\"\t\"", "\t\"a\"", `"a";q=1,, "b"`, `'a'`,
	} {
		if items, err := parseList(s); err == nil {
			t.Errorf("%q is read as %v", s, items)
		}
	}
}
