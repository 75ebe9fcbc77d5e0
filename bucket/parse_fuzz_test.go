package bucket_test

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

// The grammar as the Python package limits has it (limits/util.py): each limit
// is matched by single, and a whole string by the repetition of it, with the
// typo (:? for (?:) that lets a colon in. \s is spelled out, because Python's
// means Unicode white space and Go's doesn't.
const (
	space  = `[\t-\r\x1c-\x1f \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*`
	single = space + `([0-9]+)` + space + `(?:/|` + space + `per` + space + `)` + space + `([0-9]+)?` + space + `([a-z]+)` + space
)

var (
	whole    = regexp.MustCompile(`(?i)\A` + single + `(:?[,;|]` + single + `)*\z`)
	each     = regexp.MustCompile(`(?i)\A` + single)
	words    = regexp.MustCompile(`(?i)token|leaky|fixed|sliding|log|aligned|burst|calendar|in`) // limits knows none
	splitter = regexp.MustCompile(`[,;|]`)
)

// oracle parses as limits does, except that numbers and windows are bounded.
func oracle(s string) (limits []bucket.Limit, ok bool) {
	if !whole.MatchString(s) {
		return nil, false
	}
	for _, text := range splitter.Split(s, -1) {
		m := each.FindStringSubmatch(text)
		length, known := map[string]time.Duration{
			"second": time.Second, "minute": time.Minute, "hour": time.Hour,
			"day": day, "month": 30 * day, "year": 12 * 30 * day,
		}[strings.TrimSuffix(strings.ToLower(m[3]), "s")]
		count, _ := new(big.Int).SetString(m[1], 10)
		window, _ := new(big.Int).SetString("0"+m[2], 10)
		if window.Sign() == 0 {
			window.SetInt64(1)
		}
		if window.Mul(window, big.NewInt(int64(length))); !known || !count.IsInt64() || !window.IsInt64() {
			return nil, false
		}
		limits = append(limits, per(count.Int64(), time.Duration(window.Int64())))
	}
	return limits, true
}

func FuzzParseLimits(f *testing.F) {
	for _, s := range []string{
		"10/minute", "5/second; 60 per minute, 2500/3 hours", "10/minute:;5/hour", "1persecond", "1/0 second",
		"10\u00a0PER\u2003Minutes\u3000|\x1c0/day\x1f", "1/9223372037 second", "9223372036854775808/second",
		"1//second", "1/second,", "1/ſecond", "1/\u212aelvin", "1 \xa0per second", "1/seconds:", "1 per 2", "1/ss",
		"10/second leaky burst 5", "1/week", "1/weeks calendar in Europe/Berlin; 5/day log", "1/second fixed aligned,2/day in UTC",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := bucket.ParseLimits(s)
		want, ok := oracle(s)
		if plain := !words.MatchString(s); ok && err != nil || plain && ok != (err == nil) || ok && !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, %v, want %v", s, got, err, want)
		}
		if err != nil {
			if fault := err.(*bucket.ParseError); fault.Text != s || fault.Offset < 0 || fault.Offset > len(s) {
				t.Fatalf("%q: %+v", s, fault)
			}
			return
		}
		texts := make([]string, len(got))
		for i, l := range got {
			texts[i] = l.String()
		}
		if again, err := bucket.ParseLimits(strings.Join(texts, "; ")); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q: %q is canonical, but parses to %v, %v", s, texts, again, err)
		}
	})
}

// TestParseLimitsAgainstThePattern strings the pieces of the grammar together
// at random: most strings are close to right, which a fuzzer's rarely are.
func TestParseLimitsAgainstThePattern(t *testing.T) {
	pieces := []string{"1", "20", "0", "/", "per", "Per", " ", "\t", "\u00a0", "second", "minutes", "HOUR", "day", "months", "year",
		",", ";", "|", ":", "s", "p", "-", ".", "9223372036854775808", "\xff"}
	shapes := [][]string{pieces[:3], pieces[6:9], pieces[3:6], pieces[6:9], pieces[:3], pieces[9:15], pieces[15:19]}
	rng, accepted := newRand(1), 0
	for range scaled(100_000) {
		var s strings.Builder
		for range 1 + rng.IntN(2) {
			for _, shape := range shapes {
				switch rng.IntN(12) {
				case 0:
					s.WriteString(pieces[rng.IntN(len(pieces))])
				case 1, 2:
				default:
					s.WriteString(shape[rng.IntN(len(shape))])
				}
			}
		}
		text := strings.TrimRight(s.String(), ",;|:"[rng.IntN(4):])
		got, err := bucket.ParseLimits(text)
		want, ok := oracle(text)
		if ok != (err == nil) || !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if ok {
			accepted++
		}
	}
	if accepted < scaled(100_000)/20 {
		t.Errorf("only %d strings were right: the test has become weak", accepted)
	}
}
