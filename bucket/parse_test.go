package bucket_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-dev/shoal/bucket"
)

func per(count int64, d time.Duration) bucket.Limit { return bucket.Limit{Count: count, Per: d} }

func TestParseLimits(t *testing.T) {
	const s, m, h, month, year = time.Second, time.Minute, time.Hour, 30 * day, 360 * day
	for text, want := range map[string][]bucket.Limit{
		"10 per minute":                       {per(10, m)},
		"10/minute":                           {per(10, m)},
		"10 / minute":                         {per(10, m)},
		"100 per 3 hours":                     {per(100, 3*h)},
		"100 per 3 hour":                      {per(100, 3*h)},
		"1/second":                            {per(1, s)},
		"1/day":                               {per(1, day)},
		"2 per 2 months":                      {per(2, 2*month)},
		"2/years":                             {per(2, year)},
		"1 per 292 years":                     {per(1, 292*year)},
		"10 PER MINUTE":                       {per(10, m)},
		"10 pEr MiNuTeS":                      {per(10, m)},
		"1persecond":                          {per(1, s)},
		"1per2seconds":                        {per(1, 2*s)},
		"1/2second":                           {per(1, 2*s)},
		"1/2 second":                          {per(1, 2*s)},
		"60/minute":                           {per(60, m)},
		"60/60 second":                        {per(60, m)},
		"007/second":                          {per(7, s)},
		"1/002 second":                        {per(1, 2*s)},
		"0/second":                            {per(0, s)},
		"1/0 second":                          {per(1, s)},
		"  \t10\nper\rminute ":                {per(10, m)},
		"10\u00a0per\u2003minute\u3000\u0085": {per(10, m)},
		"10\x1cper\x1dminute\x1e\x1f":         {per(10, m)},
		"9223372036854775807/second":          {per(1<<63-1, s)},
		"1/9223372036 second":                 {per(1, 9223372036*s)},

		"5/second; 60 per minute, 2500/3 hours": {per(5, s), per(60, m), per(2500, 3*h)},
		"1/second|2/minute":                     {per(1, s), per(2, m)},
		" 1/second \n;\n 2/minute ":             {per(1, s), per(2, m)},
		"10/minute:;5/hour":                     {per(10, m), per(5, h)},
		"10/minute:,5/hour:|1/day":              {per(10, m), per(5, h), per(1, day)},
		"10/minute :;5/hour":                    {per(10, m), per(5, h)},
		"1/day,1/day":                           {per(1, day), per(1, day)},
		strings.Repeat("1/day,", 99) + "1/day":  slices.Repeat([]bucket.Limit{per(1, day)}, 100),
	} {
		got, err := bucket.ParseLimits(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseLimits(%.40q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestParseLimitsRefuses(t *testing.T) {
	const (
		count = "expected a count"
		slash = "expected /, per or concurrent"
		unit  = "expected second, minute, hour, day, month or year"
		apart = "unexpected"
	)
	for _, c := range []struct {
		text    string
		offset  int
		problem string
	}{
		{"", 0, count}, {"   ", 3, count}, {"minute", 0, count}, {"/minute", 0, count},
		{"-1/minute", 0, count}, {"+1/minute", 0, count}, {"١/minute", 0, count}, {";", 0, count},
		{"10", 2, slash}, {"10 ", 3, slash}, {"1.5/minute", 1, slash}, {"1_000/minute", 1, slash},
		{"10 minute", 3, slash}, {"10 pe minute", 3, slash}, {"1 000/minute", 2, slash}, {"10\x00/minute", 2, slash},
		{"10\xa0/minute", 2, slash}, // not a no-break space, but half a rune
		{"10/", 3, unit}, {"10 per ", 7, unit}, {"1//second", 2, unit}, {"1/per second", 2, unit}, {"1 per per second", 6, unit},
		{"1/week", 2, unit}, {"1/ms", 2, unit}, {"1/s", 2, unit}, {"1/sec", 2, unit}, {"1/min", 2, unit},
		{"1/secondss", 2, unit}, {"1/minutesperhour", 2, unit}, {"1/ſecond", 2, unit}, {"1/mınute", 2, unit},
		{"1/-2 second", 2, unit}, {"1/2", 3, unit}, {"1/2 2 second", 4, unit}, {"1/2.5 second", 3, unit},
		{"1/second,", 9, count}, {"1/second;;2/minute", 9, count}, {",1/second", 0, count}, {"1/second:,", 10, count},
		{"1/second, :;1/day", 10, count},
		{"1/second 2/minute", 9, apart}, {"1 per second and 2 per minute", 13, apart}, {"1/second\x00", 8, apart},
		{"1/second/minute", 8, apart}, {"1/second:", 9, apart}, {"1/second: ;1/day", 9, apart}, {"1/second::;1/day", 9, apart},
		{"1/second2", 8, apart}, {"1/seconds_", 9, apart},
		{"9223372036854775808/second", 0, "above 9223372036854775807"},
		{"1/day; 99999999999999999999/second", 7, "above 9223372036854775807"},
		{"1/99999999999999999999 second", 2, "above 9223372036854775807"},
		{"1/9223372037 second", 2, "longer than 292 years"},
		{"1/day; 1 per  297 years", 14, "longer than 292 years"},
	} {
		limits, err := bucket.ParseLimits(c.text)
		var fault *bucket.ParseError
		if !errors.As(err, &fault) || limits != nil {
			t.Errorf("ParseLimits(%q) = %v, %v", c.text, limits, err)
			continue
		}
		if fault.Text != c.text || fault.Offset != c.offset || !strings.Contains(fault.Problem, c.problem) {
			t.Errorf("ParseLimits(%q) says %+v, want %q at %d", c.text, fault, c.problem, c.offset)
		}
		if text := err.Error(); !strings.HasPrefix(text, "bucket: ") || !strings.Contains(text, "offset "+strconv.Itoa(c.offset)+":") {
			t.Errorf("ParseLimits(%q): %v", c.text, err)
		}
	}
}

func TestParseErrorsAreShort(t *testing.T) {
	for text, want := range map[string]string{
		"1/day calendar in Europe/Berln": `bucket: rate string "1/day calendar in Europe/Berln": at offset 18: "Europe/Berln" is no time zone that is known here; after in comes an IANA name, as Europe/Berlin or UTC`,
		"1/day calendar in ?":            `bucket: rate string "1/day calendar in ?": at offset 18: "?" is no time zone that is known here; after in comes an IANA name, as Europe/Berlin or UTC`,
		"10/fortnight, 5/hour":           `bucket: rate string "10/fortnight, 5/hour": at offset 3: expected second, minute, hour, day, month or year, not "fortnight"`,
		"10":                             `bucket: rate string "10": at offset 2: expected /, per or concurrent after the count, not the end`,
		long[:1<<10]:                     `bucket: rate string "` + strings.Repeat("long ", 20) + `…": at offset 0: expected a count, as in 10/minute, not "long"`,
		strings.Repeat("é", 200):         `bucket: rate string "` + strings.Repeat("é", 50) + `…": at offset 0: expected a count, as in 10/minute, not "éééééééééé…"`,
		"1/" + strings.Repeat("ab€", 40): `bucket: rate string "1/` + strings.Repeat("ab€", 19) + `ab…": at offset 2: expected second, minute, hour, day, month or year, not "` +
			strings.Repeat("ab€", 4) + `…"`,
	} {
		if _, err := bucket.ParseLimits(text); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %v", err, want)
		}
	}
}

func TestLimitText(t *testing.T) {
	for _, c := range []struct {
		limit bucket.Limit
		want  string
	}{
		{per(10, time.Minute), "10 per 1 minute"},
		{per(5, 2*time.Second), "5 per 2 second"},
		{per(60, 60*time.Second), "60 per 1 minute"},
		{per(60, 90*time.Second), "60 per 90 second"},
		{per(0, 24*time.Hour), "0 per 1 day"},
		{per(1, 31*day), "1 per 31 day"},
		{per(1, 360*day), "1 per 1 year"},
		{per(1, 365*day), "1 per 365 day"},
		{per(1<<63-1, 60*day), "9223372036854775807 per 2 month"},
		{per(1, 1500*time.Millisecond), "1 per 1.5s"},
		{per(1, 0), "1 per 0s"},
		{per(-1, -time.Hour), "-1 per -1h0m0s"},
		{bucket.Limit{Count: 10, Per: time.Minute, Burst: 3}, "10 per 1 minute burst 3"},
		{bucket.Limit{Name: "login", Count: 10, Per: time.Minute}, "login"},
	} {
		if got := c.limit.String(); got != c.want {
			t.Errorf("%#v: got %q, want %q", c.limit, got, c.want)
		}
	}
}
