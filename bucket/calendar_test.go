package bucket

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func calendar(t interface{ Fatal(...any) }, per time.Duration, zone string) term {
	return termOf(t, Limit{Algorithm: FixedWindow, Count: 5, Per: per, Calendar: true, Zone: zone})
}

func TestCalendarWindows(t *testing.T) {
	for _, c := range []struct {
		per            time.Duration
		zone, now, end string // RFC 3339; the first moment that isn't in now's window
	}{
		{Day, "", "2026-03-29T12:00:00Z", "2026-03-30T00:00:00Z"},
		{Day, "UTC", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"},
		{Day, "UTC", "2026-03-29T23:59:59.999999999Z", "2026-03-30T00:00:00Z"},
		{Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{Day, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{Day, "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25
		{Day, "America/New_York", "1970-01-01T00:00:00Z", "1970-01-01T05:00:00Z"},
		{Day, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"},      // the 29th,
		{Day, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},      // after which came the 31st
		{Day, "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"}, // midnight is skipped
		{Day, "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{Day, "America/Sao_Paulo", "2018-02-17T12:00:00Z", "2018-02-18T03:00:00Z"}, // 23:00 comes twice
		{Day, "America/Havana", "2018-11-04T03:00:00Z", "2018-11-04T04:00:00Z"},    // midnight comes twice
		{Day, "America/Havana", "2018-11-04T04:30:00Z", "2018-11-05T05:00:00Z"},
		{Day, "America/St_Johns", "2006-10-29T02:29:00Z", "2006-10-29T02:30:00Z"}, // clocks go back at 00:01:
		{Day, "America/St_Johns", "2006-10-29T02:32:00Z", "2006-10-30T03:30:00Z"}, // they show yesterday, but it is over
		{Day, "Europe/Berlin", "2040-12-31T12:00:00Z", "2040-12-31T23:00:00Z"},    // package time has odd bounds there
		{Day, "Europe/Berlin", "2040-12-31T23:30:00Z", "2041-01-01T23:00:00Z"},
		{Week, "", "2026-11-26T20:00:00Z", "2026-11-30T00:00:00Z"},
		{Week, "", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"},
		{Week, "Asia/Tokyo", "2026-11-29T15:00:00Z", "2026-12-06T15:00:00Z"},
		{Month, "", "2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z"},
		{Month, "", "2028-02-28T23:00:00Z", "2028-03-01T00:00:00Z"},
		{Month, "", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"},
		{Month, "Europe/Berlin", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
		{Year, "", "2026-02-28T23:00:00Z", "2027-01-01T00:00:00Z"},
		{Year, "Europe/Berlin", "2026-12-31T23:00:00Z", "2027-12-31T23:00:00Z"},
		{Year, "", "2262-04-11T00:00:00Z", "2263-01-01T00:00:00Z"}, // beyond what an int64 of nanoseconds holds
	} {
		t.Run(fmt.Sprint(c.per, c.zone, c.now), func(t *testing.T) {
			term := calendar(t, c.per, c.zone)
			now, end := parseTime(t, c.now), parseTime(t, c.end)
			const since = 1 << 40
			s, wait := term.take(State{}, 5, moment{since, now.UnixNano()})
			if wait != 0 {
				t.Fatal("refused")
			}
			if _, got := term.take(s, 1, moment{since, now.UnixNano()}); got != int64(end.Sub(now)) {
				t.Errorf("ends at %v, want %v", now.Add(time.Duration(got)), end)
			}
		})
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shown is the date of a window by the clocks of a zone at t, such that later
// ones are larger.
func shown(t time.Time, per time.Duration) int {
	year, month, day := t.Date()
	switch per {
	case Day:
		return year*10000 + int(month)*100 + day
	case Week:
		return shown(time.Date(year, month, day-(int(t.Weekday())+6)%7, 12, 0, 0, 0, time.UTC), Day)
	case Month:
		return year*100 + int(month)
	}
	return year
}

// A window lasts from any moment in it to the first at which the clocks of its
// zone show a later one: minute by minute there is none, and then there is.
func TestCalendarWindowsAgainstTheClock(t *testing.T) {
	zones := []string{"", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Havana", "Asia/Tehran",
		"Asia/Kathmandu", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Pacific/Kiritimati", "Africa/Cairo", "Asia/Amman"}
	rapid.Check(t, func(rt *rapid.T) {
		per := rapid.SampledFrom([]time.Duration{Day, Day, Week, Month}).Draw(rt, "per")
		term := calendar(rt, per, rapid.SampledFrom(zones).Draw(rt, "zone"))
		wall := rapid.Int64Range(0, 80*365*86400).Draw(rt, "second")*1e9 + rapid.Int64Range(0, 1e9-1).Draw(rt, "nanosecond")
		s := term.window.openCalendar(moment{1, wall})
		left := s.at // the window's last nanosecond, and now is 1
		if left <= 0 || left > term.window.longest()+24*int64(time.Hour) {
			rt.Fatalf("a window of %v", time.Duration(left))
		}
		now := time.Unix(0, wall).In(term.window.zone)
		end := now.Add(time.Duration(left))
		most := shown(now, per)
		for m := now; m.Before(end); m = m.Add(time.Minute) {
			most = max(most, shown(m, per))
		}
		if shown(end, per) <= max(most, shown(end.Add(-1), per)) {
			rt.Fatalf("%v: ends at %v, which is no later a window", now, end)
		}
		if most > shown(now, per) && !putBack(now, per) {
			rt.Fatalf("%v: a later window begins before %v", now, end)
		}
		if next := term.window.openCalendar(moment{1, end.UnixNano()}); next.seq <= s.seq {
			rt.Fatalf("%v: window %d, and then %d", now, s.seq, next.seq)
		}
	})
}

// putBack reports whether the clocks showed a later window within the day before
// t: they have been put back over midnight.
func putBack(t time.Time, per time.Duration) bool {
	for m := t.Add(-24 * time.Hour); m.Before(t); m = m.Add(time.Minute) {
		if shown(m, per) > shown(t, per) {
			return true
		}
	}
	return false
}

// Two replicas whose walls differ, the one behind still in yesterday: whatever
// they counted of the newer window is kept, and it ends no earlier than either said.
func TestCopiesOfCalendarsWithDifferentClocks(t *testing.T) {
	midnight := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	term := calendar(t, Day, "")
	behind, _ := term.take(State{}, 4, moment{0, midnight - 10})
	ahead, _ := term.take(State{}, 3, moment{0, midnight + 20})
	also, _ := term.take(State{}, 2, moment{0, midnight + 50})
	for _, merged := range []State{term.algorithm.Merge(behind, ahead), term.algorithm.Merge(ahead, behind)} {
		if merged != ahead {
			t.Errorf("%+v and %+v merge to %+v", behind, ahead, merged)
		}
	}
	if merged := term.algorithm.Merge(also, ahead); merged.val != 3 || merged.at != ahead.at || merged.seq != ahead.seq {
		t.Errorf("%+v and %+v merge to %+v", also, ahead, merged)
	}
	hour := calendar(t, Month, "")
	older, _ := hour.take(State{}, 1, moment{0, midnight - 86400e9*25})
	newer := State{at: older.at - 1000, val: 2, seq: older.seq + 1}
	if merged := hour.algorithm.Merge(older, newer); merged.at != older.at || merged.val != 2 || merged.seq != newer.seq {
		t.Errorf("%+v and %+v merge to %+v", older, newer, merged)
	}
}

func TestCalendarsRefused(t *testing.T) {
	good := Limit{Algorithm: FixedWindow, Count: 1, Per: Day, Calendar: true, Zone: "Europe/Berlin"}
	for want, change := range map[string]func(*Limit){
		"only a FixedWindow follows the calendar":          func(l *Limit) { l.Algorithm = SlidingWindow },
		"both set; choose one":                             func(l *Limit) { l.Aligned = true },
		"must be Day, Week, Month":                         func(l *Limit) { l.Per = 31 * Day },
		"only a limit with Calendar":                       func(l *Limit) { l.Calendar = false },
		"take an IANA name, as Europe/Berlin, and install": func(l *Limit) { l.Zone = "Europe/Berlln" },
		"take an IANA name of at most 64 bytes":            func(l *Limit) { l.Zone = "Local" },
		`"../etc/passwd" is no time zone`:                  func(l *Limit) { l.Zone = "../etc/passwd" },
		`is no time zone; take`:                            func(l *Limit) { l.Zone = strings.Repeat("A", 65) },
		"that is known here":                               func(l *Limit) { l.Zone = "/etc/localtime" },
	} {
		l := good
		change(&l)
		if _, err := NewRule("r", []Limit{l}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", l, err, want)
		}
	}
}

func TestCalendarNeverAllocates(t *testing.T) {
	term := calendar(t, Month, "Europe/Berlin")
	now := int64(epoch)
	if n := testing.AllocsPerRun(100, func() {
		term.window.openCalendar(moment{1, now})
		now += int64(Day)
	}); n != 0 {
		t.Errorf("opening a window allocates %v times", n)
	}
}
