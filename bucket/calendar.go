package bucket

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A calendar's windows are numbered: days and weeks since the 1st of January of
// the year 1, a Monday, months and years since the year 0. That number is a
// window's identity, as in every FixedWindow; its end is worked out once, when it
// opens, and kept in the state.
//
// A day begins at the first moment at which the clocks of its zone show its date
// or a later one. So days of 23 and 25 hours, midnights that there aren't or are
// twice, and dates that a zone left out (Pacific/Apia, 30 December 2011) need no
// rule of their own, and windows always follow each other without a gap.

// maxZone bounds the names of time zones, in bytes. The longest has 32.
const maxZone = 64

// zone is the limit's Zone, in the one form that UTC has.
func (l Limit) zone() string {
	if l.Zone == "UTC" {
		return ""
	}
	return l.Zone
}

// location looks up the time zone of a Calendar; nil where there is none.
func (l Limit) location() (*time.Location, error) {
	if !l.Calendar || !isZoneName(l.Zone) {
		return nil, nil // validateCalendar says so
	}
	zone, err := time.LoadLocation(l.zone())
	if err != nil {
		return nil, fmt.Errorf("field Zone %q is no time zone that is known here; take an IANA name, as Europe/Berlin, and install tzdata or import time/tzdata", l.Zone)
	}
	return zone, nil
}

// isZoneName reports whether the name can be that of a zone which is the same
// everywhere: "Local" is another on each machine.
func isZoneName(name string) bool {
	return len(name) <= maxZone && name != "Local" && len(name) == len(zonePrefix(name))
}

// zonePrefix is what of s can be part of a zone's name.
func zonePrefix(s string) string {
	if end := strings.IndexFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+-", r)
	}); end >= 0 {
		return s[:end]
	}
	return s
}

// validateCalendar reports what is wrong with Calendar and Zone, but for names
// of zones that are unknown.
func (l Limit) validateCalendar() error {
	if !l.Calendar {
		if l.Zone != "" {
			return fmt.Errorf("field Zone is %q; only a limit with Calendar follows a time zone, so set that or leave it empty", l.Zone)
		}
		return nil
	}
	var errs []error
	if l.Algorithm != FixedWindow {
		errs = append(errs, errors.New("field Calendar is set; only a FixedWindow follows the calendar"))
	}
	if l.Aligned {
		errs = append(errs, errors.New("fields Aligned and Calendar are both set; choose one"))
	}
	switch l.Per {
	case Day, Week, Month, Year:
	default:
		errs = append(errs, fmt.Errorf("field Per is %v; with Calendar it must be Day, Week, Month (30 days) or Year (360 days), which stand for the calendar's", l.Per))
	}
	if !isZoneName(l.Zone) {
		errs = append(errs, fmt.Errorf("field Zone %q is no time zone; take an IANA name of at most %d bytes, as Europe/Berlin, or none for UTC", shorten(l.Zone, maxZone), maxZone))
	}
	return errors.Join(errs...)
}

// appendCalendar appends the words of the rate strings.
func (l Limit) appendCalendar(b []byte) []byte {
	if l.Calendar {
		b = append(b, " calendar"...)
	}
	if l.Zone != "" {
		b = append(append(b, " in "...), l.Zone...)
	}
	return b
}

// openCalendar is an empty window of the calendar that contains m.
func (w *window) openCalendar(m moment) State {
	second, nano := m.wall/1e9, m.wall%1e9
	if nano < 0 {
		second, nano = second-1, nano+1e9
	}
	number := w.number(time.Unix(second, 0).In(w.zone))
	end := firstMoment(w.zone, w.beginning(number+1))
	for end <= second { // clocks put back over midnight show yesterday again
		number++
		end = firstMoment(w.zone, w.beginning(number+1))
	}
	return State{at: satAdd(m.now, (end-second)*1e9-nano-1), seq: uint32(number)}
}

// shortest and longest are the bounds of a window's length. Clocks are put
// forward and back by two hours at most, those that skip the date line excepted.

func (w *window) shortest() int64 {
	least := time.Duration(w.per)
	switch {
	case w.zone == nil:
		return w.per
	case least == Month:
		least = 28 * Day
	case least == Year:
		least = 365 * Day
	}
	return int64(least - 2*time.Hour)
}

func (w *window) longest() int64 {
	most := time.Duration(w.per)
	switch {
	case w.zone == nil:
		return w.per
	case most == Month:
		most = 31 * Day
	case most == Year:
		most = 366 * Day
	}
	return int64(most + 2*time.Hour)
}

// number is that of the window which contains the date that t shows.
func (w *window) number(t time.Time) int {
	year, month, _ := t.Date()
	switch time.Duration(w.per) {
	case Month:
		return 12*year + int(month) - 1
	case Year:
		return year
	}
	_, offset := t.Zone()
	days := floorDiv(t.Unix()+int64(offset), 86400) + yearOne
	if time.Duration(w.per) == Week {
		return int(days / 7)
	}
	return int(days)
}

// yearOne is how many days before 1970 the 1st of January of the year 1 was.
const yearOne = 719162

// beginning is what the clocks show when window number begins, in seconds
// since they showed 1970.
func (w *window) beginning(number int) int64 {
	switch time.Duration(w.per) {
	case Week:
		return (int64(number)*7 - yearOne) * 86400
	case Month:
		return time.Date(number/12, time.Month(number%12+1), 1, 0, 0, 0, 0, time.UTC).Unix()
	case Year:
		return time.Date(number, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return (int64(number) - yearOne) * 86400
}

// firstMoment is when the clocks of a zone first show the given time or a later
// one, in seconds since 1970 UTC. It goes from one change of the clocks to the
// next, beginning before any zone can be so far. A change that package time sees
// where there is none, or in the past (on the last day of leap years after 2037,
// as of Go 1.26), costs a step and no more.
func firstMoment(zone *time.Location, shown int64) int64 {
	t := time.Unix(shown-2*86400, 0).In(zone)
	for {
		_, offset := t.Zone()
		first := max(t.Unix(), shown-int64(offset))
		_, change := t.ZoneBounds()
		if !change.IsZero() && !change.After(t) {
			change = t.Add(time.Hour)
		}
		if change.IsZero() || first < change.Unix() {
			return first
		}
		t = change
	}
}

func floorDiv(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}
